"""Skeleton data sets and videos in one Parquet format."""
