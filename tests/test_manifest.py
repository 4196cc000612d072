"""posedata.json: what it may hold, and that nothing else gets past the reader."""

from __future__ import annotations

import copy
import json
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from posedata.convert import convert, plan_conversion
from posedata.errors import ReleaseError
from posedata.manifest import FORMAT_VERSION, Manifest, read_manifest
from posedata.release import Release, open_release
from posedata.skeleton import load_skeleton
from posedata.storage import locate
from posedata.synthetic import make_ntu

SCHEMA = json.loads(
    resources.files("posedata.schemas").joinpath("manifest.schema.json").read_text("utf-8")
)


def example() -> Manifest:
    """A manifest with everything that one can have."""
    shape = {"type": "float32", "per": "pose", "shape": ["V", 3], "about": "Which way."}
    return Manifest(
        name="größer",
        license="none",
        source="a test",
        skeletons={name: load_skeleton(name) for name in ("coco17", "lcrnet13")},
        layers={
            "human": {
                "skeleton": "coco17",
                "columns": ["clip_id", "num_frames", "label", "frames", "persons", "directions"],
                "label_names": ["sit", "stand"],
                "own_columns": {
                    "directions": shape,
                    "site": {"type": "string", "per": "clip", "about": "Where."},
                },
                "made_by": {"operation": "convert", "options": {"limit": None}},
            },
            "lcrnet": {"skeleton": "lcrnet13", "columns": [], "label_names": [], "made_by": {}},
        },
        files={
            "clips.parquet": {"rows": 1, "bytes": 2, "sha256": "0" * 64},
            "data/human/part-00000.parquet": {
                "rows": 1, "bytes": 2, "sha256": "a" * 64, "poses": 0, "clip_ids": ["a", "a"],
            },
        },
        history=[{"operation": "convert", "options": {}}],
        counts={"clips": 1, "poses": 0, "rejects": 0, "warnings": 2},
    )  # fmt: skip


def content() -> dict:
    return json.loads(example().to_json())


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def test_what_is_written_is_read():
    assert read_manifest(example().to_json(), "posedata.json") == example()
    assert json.loads(example().to_json())["format_version"] == FORMAT_VERSION == "1.0"


def test_equal_manifests_are_equal_bytes():
    other = example()
    object.__setattr__(other, "files", dict(reversed(other.files.items())))
    assert other.to_json() == example().to_json()


def test_a_later_version_may_add_keys():
    value = content()
    value["format_version"] = "1.7"
    value["more"] = value["layers"]["human"]["more"] = value["skeletons"]["coco17"]["more"] = [1]
    assert read_manifest(encode(value), "posedata.json").name == "größer"
    Draft202012Validator(SCHEMA).validate(value)


@pytest.mark.parametrize("version", ["2.0", "0.9", "10.3"])
def test_another_version_is_refused_with_what_to_do(version):
    # even where nothing else is as this version wants it
    with pytest.raises(ReleaseError) as caught:
        read_manifest(encode({"format_version": version}), "there/posedata.json")
    assert str(caught.value) == (
        "there/posedata.json: made in another version of the format: "
        f"found {version}, expected 1.x. Update posedata."
    )


def content_with(place: str, value: object) -> dict:
    """The example with something else at a place: keys with dots between them, = for a dot."""
    changed = content()
    target: Any = changed
    *parents, last = (key.replace("=", ".") for key in place.split("."))
    for key in parents:
        target = target[key]
    target[int(last) if isinstance(target, list) else last] = value
    return changed


# Each: the keys to a place, and what makes no sense there.
BAD = [
    ("format_version", 1.0),
    ("format_version", "1"),
    ("name", None),
    ("counts.clips", -1),
    ("counts.rejects", True),
    ("counts.poses", "many"),
    ("history", {}),
    ("history.0", "convert"),
    ("layers.human", []),
    ("layers.human.skeleton", ["coco17"]),
    ("layers.human.columns", "clip_id"),
    ("layers.human.columns.0", 3),
    ("layers.human.label_names", None),
    ("layers.human.made_by", "convert"),
    ("layers.human.own_columns", []),
    ("layers.human.own_columns.directions", None),
    ("layers.human.own_columns.directions.type", "float128"),
    ("layers.human.own_columns.directions.type", "string"),
    ("layers.human.own_columns.directions.per", "person"),
    ("layers.human.own_columns.directions.shape", None),
    ("layers.human.own_columns.directions.shape", ["V", 0]),
    ("layers.human.own_columns.directions.shape", [10**12]),
    ("layers.human.own_columns.directions.shape", [1, 1, 1, 1]),
    ("layers", {"../../etc": {}}),
    ("skeletons.coco17", None),
    ("skeletons.coco17.bones.0", [0, -1]),
    ("files.clips=parquet.rows", -1),
    ("files.clips=parquet.bytes", 1.5),
    ("files.clips=parquet.sha256", "0" * 63),
    ("files.clips=parquet.poses", None),
    ("files.clips=parquet.clip_ids", ["a"]),
    ("files.clips=parquet.clip_ids", [1, 2]),
]
# References within the manifest, or to the format's columns: a schema cannot say that.
BAD_REFERENCES = [
    ("layers.human.skeleton", "body25"),
    ("layers.human.own_columns.frames", {"type": "int64", "per": "pose", "shape": [], "about": ""}),
    ("skeletons.coco17.root", "tail"),
    ("skeletons.coco17.bones.0", [0, 17]),
]


@pytest.mark.parametrize(("place", "wrong"), BAD + BAD_REFERENCES, ids=lambda x: str(x)[:40])
def test_what_makes_no_sense_is_refused(place, wrong):
    value = content_with(place, wrong)
    with pytest.raises(ReleaseError) as caught:
        read_manifest(encode(value), "there/posedata.json")
    assert caught.value.path == "there/posedata.json"


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "/etc/passwd", "data/../../x", "..", ".", "", "data//x", "a/./b", "data/",
     "..\\x", "C:\\x", "a\0b", "a\nb"],
)  # fmt: skip
def test_files_outside_of_the_release_are_refused(path):
    value = content()
    value["files"][path] = value["files"]["clips.parquet"]
    with pytest.raises(ReleaseError, match="a path inside the release"):
        read_manifest(encode(value), "posedata.json")


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1e999}', b'"\\ud800"',
     b'{"a": ' + b"9" * 5000 + b"}"],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ReleaseError, match=r"there/posedata.json: not JSON"):
        read_manifest(text, "there/posedata.json")


def places(value, at=()):
    """Every place in a JSON value, as the keys that lead there."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in items:
        yield (*at, key)
        if isinstance(child, (dict, list)):
            yield from places(child, (*at, key))


PLACES = list(places(content()))
ODD_TEXTS = st.sampled_from(
    ["", "V", "..", "../../etc/passwd", "data/human/../x", "1.0", "2.0", "coco17", "pose", "clip",
     "string", "bool", "\ud800", "\0"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | ODD_TEXTS
    | st.integers(2**31 - 1, 2**63)
)  # fmt: skip
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | ODD_TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def mutated(draw):
    """A manifest of which a few places are gone, renamed, or hold something else."""
    value = copy.deepcopy(content())
    for *keys, last in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        try:
            target = value
            for key in keys:
                target = target[key]
            change = draw(st.sampled_from(["delete", "replace", "rename"]))
            old = target[last]
            if change == "replace":
                target[last] = draw(JSON_VALUES)
            else:
                del target[last]
            if change == "rename" and isinstance(target, dict):
                target[draw(st.text(max_size=5) | ODD_TEXTS)] = old
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has removed this place
    return value


def check(text: bytes) -> None:
    """Whatever a manifest holds: it is refused, or it is one that all of posedata can use."""
    try:
        manifest = read_manifest(text, "posedata.json")
    except ReleaseError as error:
        assert error.path == "posedata.json"
        str(error).encode()
        return
    Draft202012Validator(SCHEMA).validate(json.loads(text))
    assert read_manifest(manifest.to_json(), "posedata.json") == manifest
    release = Release(locate("memory://nowhere"), manifest)
    for layer in release.layers:
        assert release.table(layer).schema.field("frames") is not None
        release.part_names(layer)


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_mutated_manifests(value):
    check(encode(value))


@settings(max_examples=100, deadline=None)
@given(JSON_VALUES)
def test_any_json(value):
    check(encode(value))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_bytes(data):
    text = bytearray(example().to_json())
    start = data.draw(st.integers(0, len(text)))
    text[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    check(bytes(text))


@settings(max_examples=100, deadline=None)
@given(st.binary())
def test_any_bytes(text):
    check(text)


# The JSON Schema, for other tools


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("all_fields", [False, True])
def test_a_converted_release_keeps_to_the_schema(tmp_path, all_fields):
    make_ntu(tmp_path / "raw", 3, num_frames=12)
    plan = plan_conversion("ntu", tmp_path / "raw", all_fields=all_fields)
    convert(plan, tmp_path / "release", num_workers=1)
    text = (tmp_path / "release" / "posedata.json").read_bytes()
    Draft202012Validator(SCHEMA).validate(json.loads(text))
    assert open_release(tmp_path / "release").manifest.to_json() == text


@pytest.mark.parametrize(("place", "wrong"), BAD, ids=lambda x: str(x)[:40])
def test_the_schema_finds_it_too(place, wrong):
    assert not Draft202012Validator(SCHEMA).is_valid(content_with(place, wrong))


def test_the_example_keeps_to_the_schema():
    Draft202012Validator(SCHEMA).validate(content())
