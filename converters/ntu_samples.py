"""The samples of NTU RGB+D 60 and 120: names, classes, known-bad lists, protocols."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from posedata.converter import Sample

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
_LARGEST = (32, 3, 106, 2, 120)
_LAST_SETUP_OF_60, _LAST_ACTION_OF_60 = 17, 60


class SampleName(NamedTuple):
    """The five numbers of a sample's name, each 1-based."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    @property
    def is_in_ntu60(self) -> bool:
        """Whether the sample belongs to NTU RGB+D 60 already."""
        return self.setup <= _LAST_SETUP_OF_60 and self.action <= _LAST_ACTION_OF_60


def parse_name(name: str) -> SampleName | None:
    """Read ``SsssCcccPpppRrrrAaaa``; None if the whole text is not such a name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    numbers = tuple(int(group) for group in match.groups())
    if not all(1 <= n <= largest for n, largest in zip(numbers, _LARGEST, strict=True)):
        return None
    return SampleName(*numbers)


def benchmark_of(names: Iterable[str]) -> int:
    """Give 120 if any of the samples is not in NTU RGB+D 60, else 60."""
    parsed = (parse_name(name) for name in names)
    return 60 if all(name is not None and name.is_in_ntu60 for name in parsed) else 120


@cache
def class_names(benchmark: int) -> list[str]:
    """Names of the first 60 or of all 120 classes, A001 first."""
    return _read("classes.txt").splitlines()[:benchmark]


@cache
def known_bad_names() -> frozenset[str]:
    """Give the 535 samples with missing or incomplete skeletons, the 302 of NTU-60 included."""
    return frozenset(_read("missing_skeletons.txt").split())


@cache
def protocols() -> dict[str, Any]:
    """Training performers, cameras and setups of the official protocols."""
    return json.loads(_read("protocols.json"))


def official_samples(benchmark: int) -> Iterator[str]:
    """Yield the names of all 56,880 or 114,480 samples, sorted.

    Every performer of a setup did all of its 60 actions before 3 cameras.
    """
    setups = json.loads(_read("samples.json"))["setups"]
    for setup, performers in setups.items():
        early = int(setup) <= _LAST_SETUP_OF_60
        if benchmark == 60 and not early:
            continue
        for camera in (1, 2, 3):
            for performer, replications in performers.items():
                for replication in replications:
                    for action in range(1, 61) if early else range(61, 121):
                        yield (
                            f"S{int(setup):03}C{camera:03}P{int(performer):03}"
                            f"R{replication:03}A{action:03}"
                        )


def splits(names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Assign samples to the official protocols; known-bad samples are in none.

    Parameters
    ----------
    names : iterable of str
        Names of all samples of a release.

    Yields
    ------
    protocol, split, name : str
        ``xsub`` and ``xview`` for NTU-60; ``xsub`` and ``xset`` for NTU-120, where ``xsub60`` and
        ``xview60`` are those of its NTU-60 part. Split ``train`` or ``test``.
    """
    names = sorted(names)
    parsed = [
        (name, p) for name in names if (p := parse_name(name)) and name not in known_bad_names()
    ]
    benchmark = benchmark_of(names)
    rules = protocols()
    for protocol, rule in rules[f"ntu{benchmark}"].items():
        members = set(rule["train"])
        for name, numbers in parsed:
            if rule["samples"] == "ntu120" or numbers.is_in_ntu60:
                split = "train" if getattr(numbers, rule["by"]) in members else "test"
                yield protocol, split, name


def survey(samples: Sequence[Sample]) -> dict[str, Any]:
    """Compare a folder with the official data set, from names alone.

    Returns
    -------
    dict
        ``benchmark``; ``official_samples`` and how many of them are ``absent`` here;
        ``known_bad``; ``usable``; ``splits``: the size of each split of each protocol.
    """
    names = {sample.clip_id for sample in samples}
    benchmark = benchmark_of(names)
    official = set(official_samples(benchmark))
    sizes: dict[str, dict[str, int]] = {}
    for protocol, split, _ in splits(names):
        counts = sizes.setdefault(protocol, {"train": 0, "test": 0})
        counts[split] += 1
    bad = names & known_bad_names()
    return {
        "benchmark": benchmark,
        "official_samples": len(official),
        "absent": len(official - names),
        "not_official": len(names - official),
        "known_bad": len(bad),
        "usable": len(names) - len(bad),
        "splits": sizes,
    }


def _read(file: str) -> str:
    return resources.files("posedata.schemas").joinpath("ntu", file).read_text("utf-8")
