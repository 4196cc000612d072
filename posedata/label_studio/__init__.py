"""Poses to Label Studio, and what people correct there back to poses.

Modules of the JSON level know nothing of a server: `keypoint_config`, `poses_to_task`,
`annotations_to_poses`, `select_frames`.
"""
