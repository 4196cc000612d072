"""Names of metrics: each carries its normaliser and its threshold, as ``pckh_headneck@0.5``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from posedata.bootstrap import Average
from posedata.errors import UsageError

_NAME = re.compile(
    r"(?P<kind>[a-z0-9_]+?)(?:@(?P<threshold>\d{1,6}(?:\.\d{1,6})?)(?P<mm>mm)?)?"
    r"(?:\((?P<normaliser>[a-z0-9.]+)\))?",
    re.ASCII,
)
_PIXELS = re.compile(r"\d{1,6}(?:\.\d{1,6})?px", re.ASCII)

#: Dimensions and unit of each kind that has neither a threshold nor a choice of normaliser.
PLAIN_KINDS = {
    "epe": (2, "px"), "nmpjpe_headneck": (2, ""), "oks": (2, ""), "jitter": (2, "px/frame^2"),
    "mpjpe": (3, "mm"), "pa_mpjpe": (3, "mm"), "n_mpjpe": (3, "mm"), "mpjve": (3, "mm/frame"),
    "auc3d": (3, ""), "jitter3d": (3, "mm/frame^2"),
    "ap": (2, ""), "ap50": (2, ""), "ap75": (2, ""), "ar": (2, ""),
}  # fmt: skip

#: Kinds that COCO's evaluator gives.
COCO_KINDS = ("ap", "ap50", "ap75", "ar")

#: Kinds that count correct joints, where a missing prediction is wrong unless it is skipped.
CORRECT_KINDS = ("pck", "pckh", "pckh_headneck", "auc", "pck3d", "auc3d", "oks")

_KNOWN = (
    "pck@0.2 or pck@0.2(torso), pckh@0.5, pckh_headneck@0.5, auc or auc(headneck), pck3d@150mm, "
    + ", ".join(PLAIN_KINDS)
)


@dataclass(frozen=True)
class Metric:
    """One metric, as a name says it.

    Attributes
    ----------
    name : str
        In full: what the name left out is written out, ``pck@0.2`` is ``pck@0.2(bbox)``.
    kind : str
        Such as ``pckh_headneck``.
    dimensions : int
        2 or 3.
    unit : str
        ``px``, ``mm``, ..., or nothing for shares.
    threshold : float, optional
        In the normaliser's lengths, or in mm.
    normaliser : str, optional
        ``bbox``, ``torso``, ``head``, ``headneck``, or pixels such as ``30px``.
    average : {"pooled", "joints"}
        Over all joints of all poses, or over joints, as mmpose does for PCK and AUC.
    """

    name: str
    kind: str
    dimensions: int
    unit: str = ""
    threshold: float | None = None
    normaliser: str | None = None
    average: Average = "pooled"


def parse_metric(name: str) -> Metric:
    """Understand the name of a metric.

    Raises
    ------
    UsageError
        If there is no such metric, or it lacks its threshold.

    Examples
    --------
    >>> parse_metric("pck@0.2").name
    'pck@0.2(bbox)'
    >>> parse_metric("pckh_headneck@0.5").threshold
    0.5
    """
    match = _NAME.fullmatch(name.strip())
    if match is None:
        raise _unknown(name)
    kind, normaliser = match["kind"], match["normaliser"]
    threshold = None if match["threshold"] is None else float(match["threshold"])
    in_mm = match["mm"] is not None
    if kind in PLAIN_KINDS and threshold is None and normaliser is None:
        dimensions, unit = PLAIN_KINDS[kind]
        return Metric(kind, kind, dimensions, unit)
    if kind == "pck" and threshold and not in_mm and normaliser in (None, "bbox", "torso"):
        normaliser = normaliser or "bbox"
        return Metric(f"pck@{threshold:g}({normaliser})", kind, 2, "", threshold, normaliser,
                      "joints")  # fmt: skip
    if kind in ("pckh", "pckh_headneck") and threshold and not in_mm and normaliser is None:
        return Metric(f"{kind}@{threshold:g}", kind, 2, "", threshold,
                      "head" if kind == "pckh" else "headneck")  # fmt: skip
    if kind == "pck3d" and threshold and in_mm and normaliser is None:
        return Metric(f"pck3d@{threshold:g}mm", kind, 3, "", threshold)
    if kind == "auc" and threshold is None:
        normaliser = normaliser or "30px"
        if normaliser in ("bbox", "torso", "head", "headneck") or _PIXELS.fullmatch(normaliser):
            return Metric(f"auc({normaliser})", kind, 2, "", None, normaliser, "joints")
    raise _unknown(name)


def parse_metrics(names: str) -> list[Metric]:
    """Understand names with commas between; each metric once."""
    metrics = {m.name: m for m in map(parse_metric, filter(None, names.split(",")))}
    if not metrics:
        raise UsageError("no metric is named", expected=_KNOWN)
    return list(metrics.values())


def _unknown(name: str) -> UsageError:
    remedy = None
    if name.strip().split("@")[0] in ("pck", "pckh", "pckh_headneck", "pck3d"):
        remedy = "It needs a threshold above 0; pck3d's is in mm, the others' have no unit."
    return UsageError("no such metric", found=repr(name), expected=_KNOWN, remedy=remedy)
