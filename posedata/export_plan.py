"""What an export will do: which layer of a release, in which format, with which options."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posedata.errors import UsageError
from posedata.exporter import Exporter, Target, load_exporter
from posedata.plan import choose_options
from posedata.release import Release, open_release
from posedata.skeleton import load_skeleton
from posedata.version import __version__


@dataclass(frozen=True)
class ExportPlan:
    """What an export will do: all that its files depend on.

    Attributes
    ----------
    release : Release
        What is exported.
    exporter : Exporter
        The format.
    target : Target
        What the exporter gets to know.
    clip_ids : frozenset of str, optional
        Only these clips; all by default.
    drop_misfits : bool
        Whether clips that the format cannot hold are left out, instead of refusing the export.
    """

    release: Release
    exporter: Exporter
    target: Target
    clip_ids: frozenset[str] | None
    drop_misfits: bool

    def fingerprint(self) -> dict[str, Any]:
        """What two runs must have in common to make the same files."""
        target = self.target
        ids = "" if self.clip_ids is None else "\n".join(sorted(self.clip_ids))
        return {
            "posedata": __version__,
            "format": self.exporter.name,
            "release": hashlib.sha256(self.release.manifest.to_json()).hexdigest(),
            "layer": target.layer,
            "skeleton": target.skeleton,
            "profile": target.profile.name if target.profile else None,
            "options": dict(target.options),
            "clips": hashlib.sha256(ids.encode()).hexdigest() if ids else "all",
            "misfits": "drop" if self.drop_misfits else "refuse",
        }


def plan_export(
    release: Any,
    to: str,
    *,
    layer: str | None = None,
    profile: str | None = None,
    skeleton: str | None = None,
    options: Mapping[str, str] | None = None,
    limit: int | None = None,
    drop_misfits: bool = False,
) -> ExportPlan:
    """Find out what an export means.

    Parameters
    ----------
    release : Release, str or path
        What to export.
    to : str
        Name of an exporter, e.g. ``pyskl``.
    layer : str, optional
        By default the only layer.
    profile : str, optional
        Published preprocessing of that format; by default poses stay as they are.
    skeleton : str, optional
        Joint set to export; by default the layer's.
    options : mapping, optional
        The exporter's own options.
    limit : int, optional
        Only the first so many clips.
    drop_misfits : bool
        Leave out clips that the format cannot hold, instead of refusing the export.

    Returns
    -------
    ExportPlan

    Raises
    ------
    UsageError
        If the format, the layer, the profile, or an option is unknown, or the profile is of
        another joint set.
    """
    opened = release if isinstance(release, Release) else open_release(release)
    exporter = load_exporter(to)
    if exporter.prepare is None and not (layer is skeleton is limit is None):
        raise UsageError(f"--to {to} is about the whole release",
                         remedy="Leave out --layer, --skeleton and --limit.")  # fmt: skip
    table = opened.table(layer) if exporter.prepare is not None else None
    if limit is not None and limit < 1:
        raise UsageError("--limit", found=limit, expected="1 or more")
    if profile is not None and profile not in exporter.profiles:
        raise UsageError(f"--to {to} has no profile of this name", found=repr(profile),
                         expected=", ".join(exporter.profiles) or "none")  # fmt: skip
    chosen = exporter.profiles[profile] if profile is not None else None
    wanted = table.skeleton.name if table else ""
    if skeleton is not None and skeleton != wanted:
        wanted = load_skeleton(skeleton).name
    if chosen is not None and wanted != chosen.skeleton:
        raise UsageError(f"the profile {profile} reads another joint set", found=wanted,
                         expected=chosen.skeleton)  # fmt: skip
    splits: dict[str, dict[str, list[str]]] = {}
    for row in opened.splits().to_pylist():
        splits.setdefault(row["protocol"], {}).setdefault(row["split"], []).append(row["clip_id"])
    ids = None
    if limit is not None:
        ids = frozenset(sorted(opened.clips()["clip_id"].to_pylist())[:limit])
    return ExportPlan(
        release=opened,
        exporter=exporter,
        target=Target(
            manifest=opened.manifest, layer=table.layer if table else "", skeleton=wanted,
            profile=chosen,
            options=choose_options(exporter.name, exporter.options, options or {}), splits=splits,
            release=opened,
        ),
        clip_ids=ids,
        drop_misfits=drop_misfits,
    )  # fmt: skip
