"""What an estimation will do: which videos, by which experts, into which layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from posedata import staging
from posedata.addition import add_to_release
from posedata.converter import Description, LayerDescription, Problem, Sample
from posedata.errors import InputError, OutputError, UsageError
from posedata.estimate_setup import Session, Setup, close_sessions, session_of
from posedata.estimated_clip import BOX_SCORES
from posedata.expert import ExpertSpec, load_expert
from posedata.expert_skeleton import expert_skeleton
from posedata.manifest import FILE_NAME as MANIFEST
from posedata.manifest import MOST_BYTES, read_manifest
from posedata.plan import Plan
from posedata.skeleton import Skeleton, list_skeletons
from posedata.storage import Location, locate

if TYPE_CHECKING:
    from posedata.release import Release

#: Finds people where nobody else is named to, since it needs no model file.
DEFAULT_DETECTOR = ExpertSpec("mediapipe")

_COLUMNS = ("num_frames", "width", "height", "fps", "source")
_POSE_COLUMNS = ("keypoints_2d", "scores", "boxes", "box_scores")


@dataclass(frozen=True)
class EstimatePlan:
    """What an estimation will do.

    Attributes
    ----------
    plan : Plan
        Its samples are the videos.
    setup : Setup
        Experts and detector.
    places : mapping of str to str
        Where each clip's video is.
    mirrored : bool
        The videos of a new release are mirrored.
    """

    plan: Plan
    setup: Setup
    places: Mapping[str, str]
    mirrored: bool = False


def plan_estimate(
    videos: Sequence[str],
    out: Any,
    setup: Setup,
    *,
    mirrored: bool = False,
    limit: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> EstimatePlan:
    """Find the videos and load the experts, without estimating anything.

    Parameters
    ----------
    videos : sequence of str
        Video files, folders of them, folders of numbered images, or URLs.
    out : str or path
        The release that gets the layers; a new one, if it is not there.
    setup : Setup
        Experts, each with its layer's name or without; see `name_layers`.
    mirrored : bool
        For a new release: the videos show people mirrored (NTU RGB+D). Left and right are
        exchanged on the way in, unless ``setup.keep_sides``.
    limit : int, optional
        Take only the first so many clips.
    resume, overwrite : bool
        As for `posedata.estimate.estimate`.

    Raises
    ------
    UsageError
        If an expert cannot be used, two layers have one name, or options exclude each other.
    InputError
        If there are no videos, or none is of a clip of the release.
    OutputError
        If the release has such a layer already.
    ExpertError
        If an expert dies while it is loaded.
    """
    from posedata.find_videos import find_videos

    place = locate(out)
    setup = replace(setup, experts=name_layers(setup.experts))
    is_addition = _is_addition(place, setup, resume=resume, overwrite=overwrite)
    if overwrite and is_addition:
        raise UsageError("--overwrite would replace a release of other origin", found=str(place),
                         remedy="Name another -o, or other layers: --expert NAME=...")  # fmt: skip
    if mirrored and is_addition:
        raise UsageError("--mirrored is for a new release; this one says itself which of its "
                         "clips are")  # fmt: skip
    if setup.boxes and not is_addition:
        raise UsageError(f"--boxes {setup.boxes}: there is no such release yet", found=str(place))
    if limit is not None and limit < 1:
        raise UsageError("--limit", found=limit, expected="1 or more")
    base = _base(place) if is_addition else None
    taken = [spec.layer for spec in setup.experts if base is not None and spec.layer in base.layers]
    if taken and not resume:
        raise OutputError(f"the release has a layer {taken[0]} already", path=place,
                          remedy="Give the new one another name: --expert NAME=...")  # fmt: skip
    known = None if base is None else set(base.clips()["clip_id"].to_pylist())
    samples, problems = find_videos(videos, known)
    if not samples:
        first = f"{problems[0].source}: {problems[0].reason}" if problems else "nothing"
        raise InputError("no videos to estimate", path=", ".join(videos), found=first)
    samples = samples[:limit]
    try:
        plan, setup = _plan_with_experts(place, setup, samples, problems, base, mirrored, limit)
    except BaseException:
        close_sessions()
        raise
    places = {sample.clip_id: sample.info["place"] for sample in samples}
    return EstimatePlan(plan, setup, places, mirrored)


def _plan_with_experts(
    place: Location, setup: Setup, samples: Sequence[Sample], problems: Sequence[Problem],
    base: Release | None, mirrored: bool, limit: int | None,
) -> tuple[Plan, Setup]:  # fmt: skip
    """Load the experts, and say what the release will be by what they say of themselves."""
    session = _start(setup)
    setup = session.setup
    layers = tuple(_layer(session, spec) for spec in setup.experts)
    description = Description(
        name=PurePosixPath(place.path).name or "release",
        title=f"Poses estimated on videos ({', '.join(layer.name for layer in layers)})",
        license="not stated; that of the videos",
        source="videos of the user's own",
        citation="",
        layers=layers,
        columns=(*_COLUMNS, *(["mirrored"] if mirrored else [])),
    )
    plan = Plan(
        converter="",
        raw=place,
        description=description,
        samples=[replace(sample, info={}) for sample in samples],
        problems=problems,
        options={
            "experts": {layer.name: dict(layer.made_by) for layer in layers},
            "boxes": setup.boxes,
            "mirrored": mirrored,
            "keep_sides": setup.keep_sides,
            "limit": limit,
        },
        operation="estimate",
    )
    if base is not None:
        plan = add_to_release(plan, place, keep_sides=setup.keep_sides)
        _check_boxes(plan, setup.boxes)
    return plan, setup


def name_layers(experts: Sequence[ExpertSpec]) -> tuple[ExpertSpec, ...]:
    """Give each expert's layer a name: that of its model, or its own.

    Raises
    ------
    UsageError
        If two have one name, or one expert is there twice.
    """
    named: list[ExpertSpec] = []
    for spec in experts:
        load_expert(spec.expert)
        layer = spec.layer or _layer_name(spec)
        if any(other.layer == layer for other in named):
            raise UsageError(f"two experts make the layer {layer}",
                             remedy="Name one otherwise: --expert NAME=...")  # fmt: skip
        if any((other.expert, other.model) == (spec.expert, spec.model) for other in named):
            raise UsageError(f"the expert {spec} is there twice")
        named.append(replace(spec, layer=layer))
    return tuple(named)


def _layer_name(spec: ExpertSpec) -> str:
    """E.g. ``movenet_lightning`` for ``litert:models/movenet_lightning.tflite``."""
    name = PurePosixPath(spec.model.split(",")[0]).name
    for suffix in (".tflite", ".onnx", ".py", ".pkl", ".pt", ".pth"):
        name = name.removesuffix(suffix)
    letters = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "_" for c in name)
    return letters.lstrip("_.-") or spec.expert


def _is_addition(place: Location, setup: Setup, *, resume: bool, overwrite: bool) -> bool:
    """Whether a release is there that gets further layers, rather than one that this run makes.

    A run that is resumed may have ended, and other layers and anchors have come since; those are
    not to be overwritten.
    """
    if staging.before_addition(place) is not None:
        return True
    if not (place / MANIFEST).exists():
        return False
    manifest = read_manifest((place / MANIFEST).read_bytes(MOST_BYTES), str(place / MANIFEST))
    operations = [entry.get("operation") for entry in manifest.history]
    mine = {spec.layer for spec in setup.experts}
    first = manifest.history[0].get("input") if manifest.history else None
    of_first = {
        name for name, layer in manifest.layers.items()
        if layer.get("made_by", {}).get("input") == first
    }  # fmt: skip
    is_resumed = resume and operations[:1] == ["estimate"] and mine == of_first
    is_replaced = overwrite and operations == ["estimate"] and mine == set(manifest.layers)
    return not (is_resumed or is_replaced)


def _base(place: Location) -> Release:
    from posedata.release import open_release

    return open_release(staging.before_addition(place) or place)


def _start(setup: Setup) -> Session:
    """Load the experts, and a detector where one is needed and none is named."""
    session = session_of(setup)
    session.start()
    if setup.detector is None and not setup.boxes and not setup.whole_frames:
        waiting = [
            process.spec
            for process in session.experts.values()
            if process.about["boxes"] != "unused" and process.spec.expert != DEFAULT_DETECTOR.expert
        ]
        if waiting:
            if missing := load_expert(DEFAULT_DETECTOR.expert).missing():
                raise UsageError(
                    f"the expert {waiting[0]} wants to be told where people are",
                    found=f"no --detector, and {', '.join(missing)} is not installed",
                    remedy="Give --detector onnx:RTMDET.onnx, --boxes LAYER, or --whole-frames.",
                )  # fmt: skip
            session.detect_with(DEFAULT_DETECTOR)
    if setup.whole_frames:
        for process in session.experts.values():
            if process.about["boxes"] == "needed":
                raise UsageError(f"the expert {process.spec} needs boxes, so --whole-frames cannot "
                                 "be")  # fmt: skip
    return session


def _layer(session: Session, spec: ExpertSpec) -> LayerDescription:
    about = session.experts[spec.layer].about
    skeleton, _ = expert_skeleton(about["skeleton"])
    own = _own_skeleton(skeleton, spec.layer)
    made_by: dict[str, Any] = {
        "expert": spec.expert,
        "model": PurePosixPath(spec.model.split(",")[0]).name,
        **{key: about[key] for key in ("version", "weights", "device")},
        "options": {**about["options"], "keep_sides": session.setup.keep_sides},
    }
    if about["boxes"] != "unused":
        made_by["people_from"] = _people_from(session, spec)
    return LayerDescription(
        name=spec.layer,
        skeleton=skeleton.name if own is None else own.name,
        columns=(*_POSE_COLUMNS, *(["keypoints_3d"] if about["has_3d"] else [])),
        own_columns=BOX_SCORES,
        made_by=made_by,
        own_skeleton=own,
    )


def _people_from(session: Session, spec: ExpertSpec) -> dict[str, Any]:
    setup, detector = session.setup, session.detector
    if setup.boxes:
        return {"layer": setup.boxes}
    if detector is None or detector is session.experts[spec.layer]:
        return {"whole_frames": True}
    about = {key: detector.about[key] for key in ("version", "weights", "options", "device")}
    return {"detector": detector.spec.expert, "least_score": setup.detector_score, **about}


def _own_skeleton(skeleton: Skeleton, layer: str) -> Skeleton | None:
    """Give a joint set that posedata does not know, under a name that is free."""
    if skeleton.name not in list_skeletons():
        return skeleton
    from posedata.skeleton import load_skeleton

    if load_skeleton(skeleton.name) == skeleton:
        return None
    return replace(skeleton, name=f"{skeleton.name}_{layer}")


def _check_boxes(plan: Plan, layer: str) -> None:
    if layer and plan.base is not None and layer not in plan.base.layers:
        raise UsageError(f"--boxes {layer}: no such layer",
                         expected=", ".join(plan.base.layers))  # fmt: skip
