"""Make-believe NTU RGB+D data: ``.skeleton`` files whose every number is known.

For demonstrations, tests and benchmarks, since the real files may not be passed on. Who moves and
how is in `posedata.synthetic_body`, what Kinect says of it in `posedata.synthetic_sample`; here it
becomes text, laid out as the official readers expect (shahroudy/NTURGB-D:
``Matlab/read_skeleton_file.m``, ``Python/txt2npy.py``). Equal arguments give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from posedata.errors import OutputError, UsageError
from posedata.synthetic_body import ACTIONS, NUM_JOINTS
from posedata.synthetic_sample import (
    QUIRKS,
    BodyTruth,
    SkeletonTruth,
    check_quirks,
    seeded,
    skeleton_sample,
)

__all__ = [
    "ACTIONS",
    "QUIRKS",
    "BodyTruth",
    "SkeletonTruth",
    "format_skeleton",
    "make_ntu",
    "skeleton_sample",
    "write_skeleton",
]

_NUM_CAMERAS, _NUM_REPLICATIONS = 3, 2

_NUMBER = "%.7G"
_JOINT_LINE = " ".join([_NUMBER] * 12) + "\n"
_BODY_TEXT = "%d " + " ".join([_NUMBER] * 9) + f"\n{NUM_JOINTS}\n" + _JOINT_LINE * NUM_JOINTS


def format_skeleton(sample: SkeletonTruth, newline: str = "\r\n") -> tuple[bytes, SkeletonTruth]:
    r"""Write a sample as the text of a ``.skeleton`` file.

    Numbers have seven significant digits, exponents below 1E-04, and integers no point, as those
    that Kinect's C# programs print.

    Parameters
    ----------
    sample : SkeletonTruth
        Its bodies in the order in which they first appear.
    newline : ``"\r\n"`` or ``"\n"``
        What ends every line, the last one too.

    Returns
    -------
    content : bytes
    truth : SkeletonTruth
        The sample with the float64 values of the printed numbers.

    Raises
    ------
    UsageError
        When the newline is another one.
    """
    if newline not in ("\r\n", "\n"):
        raise UsageError("unknown newline", found=repr(newline), expected=r"'\r\n' or '\n'")
    texts: list[list[str]] = [[] for _ in range(sample.num_frames)]
    printed = []
    for body in sample.bodies:
        # adding 0 turns -0 into 0
        rows = np.concatenate([body.headers, body.joints.reshape(len(body.frames), -1)], axis=1) + 0
        blocks = [_BODY_TEXT % (body.body_id, *row) for row in rows.tolist()]
        if np.isnan(rows).any():
            blocks = [block.replace("NAN", "NaN") for block in blocks]
        for frame, block in zip(body.frames.tolist(), blocks, strict=True):
            texts[frame].append(block)
        printed.append(_read_back(body, blocks))
    for frame in sample.reversed_frames:
        texts[frame].reverse()
    lines = f"{sample.num_frames}\n" + "".join(
        f"{len(blocks)}\n{''.join(blocks)}" for blocks in texts
    )
    content = lines.replace("\n", newline).encode("ascii")
    return content, replace(sample, bodies=tuple(printed))


def _read_back(body: BodyTruth, blocks: list[str]) -> BodyTruth:
    """Take the numbers of a body from its text, where field 10 of a block is the joint count."""
    values = np.array([float(text) for text in "".join(blocks).split()]).reshape(len(blocks), -1)
    joints = values[:, 11:].reshape(-1, NUM_JOINTS, 12)
    return replace(body, joints=joints, headers=values[:, 1:10])


def write_skeleton(
    path: str | Path, sample: SkeletonTruth, *, newline: str = "\r\n"
) -> SkeletonTruth:
    r"""Write a sample to a new file and return exactly what is written.

    Parameters
    ----------
    path : str or Path
        A file that does not exist yet.
    sample : SkeletonTruth
        For instance from `skeleton_sample`.
    newline : ``"\r\n"`` or ``"\n"``

    Returns
    -------
    SkeletonTruth
        See `format_skeleton`.

    Raises
    ------
    OutputError
        When the file exists or cannot be written.
    """
    content, truth = format_skeleton(sample, newline)
    _write_new(Path(path), content)
    return truth


def _write_new(path: Path, content: bytes) -> None:
    """Write without ever replacing a file: it might be a real one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            stream.write(content)
    except OSError as error:
        raise OutputError(error.strerror or str(error), path=path) from error


def _skeleton_name(action_number: int, index: int) -> str:
    """Count through the names of an action: performers fastest, the rest turning with them.

    NTU RGB+D 60 has actions 1-60, setups 1-17 and performers 1-40; what 120 adds, actions 61-120,
    was recorded in setups 18-32 with performers up to 106. The first three names of an action are
    on both sides of every official split.
    """
    setups, performers = _recorded(action_number)
    index, performer = divmod(index, performers)
    index, camera = divmod(index, _NUM_CAMERAS)
    replication, setup = divmod(index, len(setups))
    camera = (camera + performer) % _NUM_CAMERAS
    setup = setups[(setup + performer) % len(setups)]
    replication = (replication + performer // 2) % _NUM_REPLICATIONS
    return (
        f"S{setup:03d}C{camera + 1:03d}P{performer + 1:03d}"
        f"R{replication + 1:03d}A{action_number:03d}"
    )


def _recorded(action_number: int) -> tuple[range, int]:
    """Give the setups that recorded an action, and the number of performers."""
    return (range(1, 18), 40) if action_number <= 60 else (range(18, 33), 106)


def _action_order(benchmark: int) -> list[str]:
    return [name for name, action in ACTIONS.items() if action.number <= benchmark]


def _check_room(action_indices: np.ndarray, actions: list[str]) -> None:
    """Refuse when an action has fewer names than samples."""
    wanted = np.bincount(action_indices, minlength=len(actions))
    for action, count in zip(actions, wanted.tolist(), strict=True):
        setups, performers = _recorded(ACTIONS[action].number)
        room = len(setups) * performers * _NUM_CAMERAS * _NUM_REPLICATIONS
        if count > room:
            raise UsageError(
                f"too many samples of the action {action}", found=count, expected=f"{room} at most"
            )


def make_ntu(
    directory: str | Path,
    num_samples: int,
    seed: int = 0,
    *,
    benchmark: int = 60,
    nested: bool = False,
    num_frames: int | tuple[int, int] = (40, 150),
    quirks: Iterable[str] = tuple(QUIRKS),
    distinct: int | None = None,
) -> list[SkeletonTruth]:
    """Write a directory of ``.skeleton`` files that looks like NTU RGB+D.

    Every name is used once. The actions take turns, and setups, cameras, performers and
    replications vary so that a few files per action are on both sides of every official split.

    Parameters
    ----------
    directory : str or Path
        Made if need be. Files that are there are never replaced.
    num_samples : int
        How many files; there are 4080 names for each action of 60, and 9540 for those of 120 only.
    seed : int
        Changes what the files hold, not their names.
    benchmark : 60 or 120
        Which actions, setups and performers there are.
    nested : bool
        One folder per setup (``S001/``) instead of a flat directory.
    num_frames : int or (int, int)
        The length of every file, or the shortest and the longest one.
    quirks : iterable of str
        Every third file has one of these keys of `QUIRKS`, which take turns; none: ``()``.
    distinct : int, optional
        How many files differ in more than their name; after these the contents repeat (always
        under names of their own action). Formatting a file takes far longer than writing it, and
        the returned truths share their arrays, so benchmarks of many files set this.

    Returns
    -------
    list of SkeletonTruth
        In the order of writing. Without ``distinct`` it takes about 0.3 MB a file.

    Raises
    ------
    UsageError
        When an argument is out of its range, or there are fewer names than samples.
    OutputError
        When a file exists or cannot be written.

    Examples
    --------
    >>> truths = make_ntu(Path("demo"), 60)  # doctest: +SKIP
    >>> truths[0].name, truths[0].num_frames  # doctest: +SKIP
    ('S001C001P001R001A023', 138)
    """
    if benchmark not in (60, 120):
        raise UsageError("unknown benchmark", found=benchmark, expected="60 or 120")
    quirks = tuple(quirks)
    check_quirks(quirks)
    shortest, longest = (num_frames, num_frames) if isinstance(num_frames, int) else num_frames
    distinct = num_samples if distinct is None else min(distinct, num_samples)
    if num_samples < 0 or (num_samples and distinct < 1) or shortest > longest:
        raise UsageError("num_samples, distinct or num_frames is out of range")
    actions = _action_order(benchmark)
    action_indices = np.arange(num_samples) % max(distinct, 1) % len(actions)
    _check_room(action_indices, actions)

    used = [0] * len(actions)
    pool: list[tuple[bytes, SkeletonTruth]] = []
    truths = []
    for index, action_index in enumerate(action_indices.tolist()):
        action = actions[action_index]
        # the first three samples begin at different performers, cameras and setups
        name = _skeleton_name(ACTIONS[action].number, used[action_index] + action_index)
        used[action_index] += 1
        if index < distinct:
            length = int(seeded((seed, index, 1)).integers(shortest, longest + 1))
            chosen = {quirks[index // 3 % len(quirks)]} if quirks and index % 3 == 2 else set()
            sample = skeleton_sample(name, action, length, (seed, index), chosen)
            content, truth = format_skeleton(sample, "\n" if "lf" in chosen else "\r\n")
            if distinct < num_samples:
                pool.append((content, truth))
        else:
            content, truth = pool[index % distinct]
            truth = replace(truth, name=name)
        folder = Path(directory) / name[:4] if nested else Path(directory)
        _write_new(folder / f"{name}.skeleton", content)
        truths.append(truth)
    return truths
