"""What `posedata.doctor` looks for in the poses of a clip: one kind of trouble a file."""
