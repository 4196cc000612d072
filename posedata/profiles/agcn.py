"""2s-AGCN and MS-G3D: NTU RGB+D centred and turned, Kinetics-Skeleton with y up.

`AGCN` gives, for one clip, the (3, 300, 25, 2) array that a row of ``train_data_joint.npy`` or
``val_data_joint.npy`` is; `rows` says which clips those files hold.

Sources: lshiwjx/2s-AGCN, ``data_gen/ntu_gendata.py``, ``preprocess.py``, ``kinetics_gendata.py``;
kenziyuliu/MS-G3D has the same, and ``data_gen/ntu120_gendata.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from posedata.converters.ntu_samples import parse_name
from posedata.profile import Profile, step
from posedata.profiles.slots import (
    centre,
    channels_first,
    keep_most_energy,
    pad_by_repeating,
    pad_with_zeros,
    rotate_bone,
    slots_by_position,
)
from posedata.profiles.stgcn import Rows, kinetics_steps, ntu_rows

#: Where MS-G3D's script expects the two archives of NTU RGB+D 120.
MSG3D_FOLDERS = (
    "../data/nturgbd_raw/nturgb+d_skeletons/",
    "../data/nturgbd_raw/nturgb+d_skeletons120/",
)
_LAST_SETUP_OF_FIRST_ARCHIVE = 17


def rows(
    clips: Iterable[Mapping[str, Any]],
    protocol: str,
    part: str,
    benchmark: str = "ntu60",
    folders: tuple[str, str] = MSG3D_FOLDERS,
) -> Rows:
    """Say which clips a file holds, under which names, and in which order.

    Parameters
    ----------
    clips : iterable of mapping
        Clip columns.
    protocol : str
        ``xsub`` or ``xview``; of ``ntu120`` ``xsub`` or ``xset``.
    part : str
        ``train`` or ``val``.
    benchmark : str
        ``ntu60``, or ``ntu120`` as MS-G3D has it.
    folders : tuple of str
        MS-G3D's names of ``ntu120`` samples are paths: of setups up to 17 below the first folder,
        of others below the second.

    Returns
    -------
    Rows
        Sorted by name, as in MS-G3D; 2s-AGCN takes the order in which the disk lists the files.
    """
    found = ntu_rows(clips, protocol, part, benchmark)
    if benchmark != "ntu120":
        return found
    placed = []
    for row in found.rows:
        name = parse_name(row.clip_id)
        late = name is not None and name.setup > _LAST_SETUP_OF_FIRST_ARCHIVE
        placed.append((folders[late], row))
    placed.sort()
    return found._replace(rows=[
        row._replace(name=str(PurePosixPath(folder) / row.name)) for folder, row in placed
    ])  # fmt: skip


AGCN = Profile(
    name="agcn",
    about="2s-AGCN and MS-G3D, data_gen/ntu_gendata.py: NTU RGB+D, 300 frames of two bodies, "
    "centred on the spine and turned, (3, 300, 25, 2) float32",
    skeleton="nturgbd25",
    steps=(
        step(slots_by_position, most=4),
        step(keep_most_energy, people=2),
        step(pad_with_zeros, frames=300),
        step(pad_by_repeating),
        step(centre, joint=1),
        step(rotate_bone, start=0, end=1, axis=(0, 0, 1)),
        step(rotate_bone, start=4, end=8, axis=(1, 0, 0)),
        step(channels_first),
    ),
)

AGCN_KINETICS = Profile(
    name="agcn_kinetics",
    about="2s-AGCN and MS-G3D, data_gen/kinetics_gendata.py: Kinetics-Skeleton, 300 frames of the "
    "two people with the highest scores in each, y up, (3, 300, 18, 2) float32",
    skeleton="openpose18",
    steps=kinetics_steps(y_up=True),
)
