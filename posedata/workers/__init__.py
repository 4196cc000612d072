"""What runs in the process of an expert, perhaps under another interpreter.

The modules here need numpy and pyarrow alone, and import each other by bare names: an interpreter
without posedata runs them by their path.
"""
