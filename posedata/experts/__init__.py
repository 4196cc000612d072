"""The experts that run beside posedata, one library a module."""
