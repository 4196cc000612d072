"""The posedata command."""
