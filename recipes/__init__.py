"""Recognition models on top of a release. They import posedata, never the other way round."""
