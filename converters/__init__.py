"""One module for each data set or format: raw files to clips, and back."""
