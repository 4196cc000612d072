"""The clips of Toyota Smarthome: names, classes and their published numbers, protocols."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from posedata.converter import Sample
from posedata.errors import UsageError

_NAME = re.compile(r"([A-Za-z.]+)_p(\d{2})_r(\d{2})_v(\d{2})_c(\d{2})", re.ASCII)
_CAMERAS = range(1, 8)
PROTOCOLS = ("cs", "cv1", "cv2")
_SPLITS = ("train", "validation", "test")


class ClipName(NamedTuple):
    """What the name of a clip says, e.g. ``Cook.Cut_p03_r00_v02_c03``."""

    activity: str
    subject: int
    replication: int
    video: int
    camera: int


def parse_name(name: str) -> ClipName | None:
    """Read ``Activity_pSS_rRR_vVV_cCC``; None if the whole text is not such a name."""
    match = _NAME.fullmatch(name)
    if match is None or match[1] not in class_names() or int(match[5]) not in _CAMERAS:
        return None
    return ClipName(match[1], *(int(number) for number in match.groups()[1:]))


@cache
def class_names() -> tuple[str, ...]:
    """Names of the classes 0 to 31: the 31 in alphabetical order, then ``Pour.Fromcup``.

    The last is in the authors' lists of names (14 clips) but in none of their numberings.
    """
    return tuple(_read("classes.txt").split())


@cache
def published_numbers(numbering: str) -> Mapping[str, int]:
    """Give the class numbers of a published code base, by class name.

    Parameters
    ----------
    numbering : str
        ``i3d_cs`` (1-based), ``unik_cs`` (0-based, telephone before tablet), ``i3d_cv`` or
        ``unik_cv`` (the 19 classes of the cross-view protocols).

    Raises
    ------
    UsageError
        If there is no such numbering.
    """
    numberings = json.loads(_read("numberings.json"))
    if numbering not in numberings:
        raise UsageError("unknown numbering", found=repr(numbering),
                         expected=", ".join(numberings))  # fmt: skip
    return numberings[numbering]["numbers"]


@cache
def protocols() -> dict[str, Any]:
    """Subjects or cameras, classes and sizes of the splits of each protocol."""
    return json.loads(_read("protocols.json"))


def splits(clips: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Assign clips to the protocols as the authors' lists do.

    Parameters
    ----------
    clips : iterable of mapping
        ``clip_id`` of each clip.

    Yields
    ------
    protocol, split, clip_id : str
        ``cs``, ``cv1`` and ``cv2``; ``train``, ``validation`` and ``test``. The cross-view
        protocols have 19 of the classes.
    """
    named = [(row["clip_id"], parse_name(row["clip_id"])) for row in clips]
    for protocol in PROTOCOLS:
        for clip_id, name in named:
            if name is not None and (split := _split_of(name, protocol)) is not None:
                yield protocol, split, clip_id


def survey(samples: Sequence[Sample]) -> dict[str, Any]:
    """Compare a folder with the sizes of the authors' lists, from names alone.

    The names themselves are not known here: a clip that is not in the lists, of a subject who is,
    counts as one of theirs.

    Returns
    -------
    dict
        ``official_samples``: clips in the authors' lists, and how many of them are ``absent``
        here; ``not_official``: clips of subjects that the lists do not have; ``files``: how many
        of each layer; ``splits``: the size of each split of each protocol.
    """
    ids = {sample.clip_id for sample in samples}
    sizes = {protocol: dict.fromkeys(_SPLITS, 0) for protocol in PROTOCOLS}
    for protocol, split, _ in splits({"clip_id": clip_id} for clip_id in ids):
        sizes[protocol][split] += 1
    official = sum(protocols()["cs"]["clips"].values())
    listed = sum(sizes["cs"].values())
    return {
        "official_samples": official,
        "absent": official - listed,
        "not_official": len(ids) - listed,
        "files": dict(sorted(Counter(sample.layer for sample in samples).items())),
        "splits": sizes,
    }


def _split_of(name: ClipName, protocol: str) -> str | None:
    rule = protocols()[protocol]
    if rule["classes"] == "cv" and name.activity not in published_numbers("unik_cv"):
        return None
    number = getattr(name, rule["by"])
    return next((split for split in _SPLITS if number in rule[split]), None)


def _read(file: str) -> str:
    return resources.files("posedata.schemas").joinpath("smarthome", file).read_text("utf-8")
