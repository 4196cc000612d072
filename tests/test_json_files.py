"""Several JSON files in one go: each is what it is by itself, or none is anything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata import json_files
from posedata.json_files import read_first, view_files
from posedata.json_view import is_array, is_object
from posedata.storage import locate

MARK = json_files._MARK


def plain(value):
    return value.as_list() if is_array(value) else value.as_dict() if is_object(value) else value


def test_each_text_has_its_view():
    texts = [b'{"a": 1}', b" [2] \n", b'"x"', b"3"]
    assert [plain(value) for value in view_files(texts)] == [{"a": 1}, [2], "x", 3]
    assert view_files([]) == []
    assert plain(view_files([b"[1]"])[0]) == [1]


@pytest.mark.parametrize(
    "texts",
    [[b"[1", b"2]"], [b"[1", b"2],[3]"], [b'{"a":[1', b'2]},{"b":3}'], [b"1,2", b""], [b"", b"1,2"],
     [b""], [b"1 2"], [b'"a', b'b"'], [b"]", b"["], [b"1]", b"[2"],
     [b"1", b'2, "%s", 3' % MARK], [b'1, "%s", 2' % MARK, b"3]["], [b'"%s"' % MARK, b"1"],
     [b'"%s"' % MARK[1:], b'"\\u0040%s"' % MARK[1:]], [b"\xef\xbb\xbf1", b"2"], [b"NaN", b"1"],
     [b"[1", b"2],3,4"], [b"[1,", b"2]"], [b"1", b"\xff"], [b"[" * 3000, b"]" * 3000],
     [b"1,", b"2"], [b"1", b",2"]],
)  # fmt: skip
def test_texts_that_are_not_plain_json_by_themselves(texts):
    assert view_files(texts) is None


pieces = st.lists(
    st.sampled_from([b"[", b"]", b"{", b"}", b",", b":", b'"', b'"a":', b'"a"', b"1", b" ", b"null",
                     MARK, b'"%s"' % MARK, b',"%s",' % MARK, b"@"]),
    max_size=6,
).map(b"".join)  # fmt: skip


@given(st.lists(pieces, min_size=1, max_size=4))
def test_fragments_of_json_never_mix(texts):
    found = view_files(texts)
    if found is not None:
        assert [plain(value) for value in found] == [json.loads(text) for text in texts]


def test_files_are_read_up_to_one_that_cannot_be(tmp_path, monkeypatch):
    for number in range(6):
        (tmp_path / f"{number}").write_bytes(b"x" * (100 if number == 4 else 10))
    places = [locate(tmp_path / f"{number}") for number in range(6)]
    assert read_first(places, 50) == [b"x" * 10] * 4
    assert read_first(places[4:], 50) == []
    assert read_first([*places[:2], locate(tmp_path / "absent"), places[3]], 50) == [b"x" * 10] * 2
    monkeypatch.setattr(json_files, "_MOST_FILES", 3)
    assert len(read_first(iter(places), 200)) == 3
    monkeypatch.setattr(json_files, "_MOST_BYTES", 15)
    assert len(read_first(places, 200)) == 2
