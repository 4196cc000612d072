"""The data that defines the format: skeletons, label sets, protocols. Read by :mod:`posedata`."""
