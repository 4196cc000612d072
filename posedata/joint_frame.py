"""A layer as a pandas frame: one row for each joint of each pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.clip import JOINT_ARRAYS
from posedata.errors import UsageError
from posedata.layer_table import LayerTable

if TYPE_CHECKING:
    import pandas as pd

    from posedata.release import Release, Where


def joint_frame(
    release: Release, table: LayerTable, columns: Sequence[str] | None, where: Where | None
) -> pd.DataFrame:
    """Lay out the poses of a layer by joint; see `posedata.release.Release.to_pandas`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError(
            "pandas is not installed", remedy="Install it: pip install 'posedata[pandas]'"
        ) from error

    joints = table.skeleton.num_joints
    per_joint = [n for n in table.pose_columns if list(table.definitions[n]["shape"][:1]) == ["V"]]
    if columns is None:
        columns = [n for n in per_joint if n in JOINT_ARRAYS]
    unknown = [name for name in columns if name not in per_joint]
    if unknown:
        raise UsageError(f"no per-joint column {', '.join(unknown)}",
                         expected=", ".join(per_joint))  # fmt: skip
    read = release.arrays(table.layer, columns=["frames", "persons", *columns], where=where)
    poses = np.diff(read["offsets"])
    clip_code = np.repeat(np.arange(len(poses)), poses * joints)
    content: dict[str, Any] = {
        "clip_id": pd.Categorical.from_codes(clip_code, categories=read["clip_id"]),
        "person": np.repeat(read["persons"], joints),
        "frame": np.repeat(read["frames"], joints),
        "joint": pd.Categorical.from_codes(
            np.tile(np.arange(joints), int(poses.sum())), categories=list(table.skeleton.joints)
        ),
    }
    for name in columns:
        if len(table.shape(name)) == 1:
            content[name] = read[name].reshape(-1)
        else:
            values = read[name].reshape(len(clip_code), math.prod(table.shape(name)[1:]))
            for axis, suffix in enumerate(_axes(values.shape[1])):
                content[f"{name}_{suffix}"] = values[:, axis]
    return pd.DataFrame(content)


def _axes(width: int) -> Sequence[str]:
    """Names of a joint's components: coordinates, a quaternion, or numbers where it is neither."""
    return {2: "xy", 3: "xyz", 4: "wxyz"}.get(width) or [str(axis) for axis in range(width)]
