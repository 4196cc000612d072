"""`posedata.unpickle`: data comes out of a pickle, and nothing in it runs."""

import collections
import copyreg
import io
import os
import pickle
import pickletools
import re
import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.errors import InputError
from posedata.unpickle import load_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

VALUES = [
    None, True, False, 0, 1, -5, 255, 65535, 2**31, -(2**31), 2**40, -(2**70), 2**2100, 1.5, -0.0,
    float("inf"), 1 + 2j, "", "é\n\\", "\U0001f600", "x" * 300, b"", b"a\xff\n", b"x" * 300,
    bytearray(b"xx"), bytearray(), [], [1, [2]], (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {},
    {"a": 1, 2: 3, ("x", 1): 4, None: 5, b"k": 6, 1.5: 7}, {1, 2}, set(), frozenset([1, "a"]),
    ["again"] * 3, [[i] for i in range(1500)],
]  # fmt: skip

ARRAYS = [
    np.arange(6, dtype=">i2").reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(3.0), np.zeros((0, 5)), np.array(["ab", "c", ""]), np.array([b"x", b"yy"]),
    np.arange(300, dtype=np.float16), np.array([True, False]), np.array([1 + 2j], np.complex64),
    np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2), np.array([], "U1"),
    np.array([2**63], "u8"),    np.array([np.nan, np.inf]), np.arange(5, dtype=np.longdouble),
]  # fmt: skip
SCALARS = [
    np.float32(2), np.str_("ab"), np.str_(""), np.bytes_(b"q"), np.bool_(True), np.int64(-7),
    np.complex64(1j), np.float16(0.5),
]  # fmt: skip


def same(a, b):
    if isinstance(a, np.ndarray) and a.dtype.hasobject:
        return a.shape == b.shape and all(map(same, a.ravel(), b.ravel()))
    if isinstance(a, np.ndarray | np.generic):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and (
            np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
        )  # fmt: skip
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", [*VALUES, *ARRAYS, *SCALARS], ids=lambda v: type(v).__name__)
def test_data_comes_out_as_pickle_gives_it(value, protocol):
    text = pickle.dumps(value, protocol)
    assert same(pickle.loads(text), load_pickle(text, "a.pkl"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_objects_come_out_with_all_in_them(protocol):
    value = np.array([[{"a": np.ones(2)}, None], [[1, 2], "text"]], object)
    assert same(value, load_pickle(pickle.dumps(value, protocol), "a.pkl"))
    alone = np.array({"S1": {"Walking": [np.ones((2, 17, 2))]}}, object)
    assert same(alone, load_pickle(pickle.dumps(alone, protocol), "a.pkl"))
    columns = np.array([[1, "a"], [None, 2.0]], object, order="F")
    assert same(columns, load_pickle(pickle.dumps(columns, protocol), "a.pkl"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_dicts_become_dicts_in_the_same_order(protocol):
    ordered = collections.OrderedDict([("b", 1), ("a", [2])])
    grouped = collections.defaultdict(list, {"q": [1]})
    for value in (ordered, grouped):
        found = load_pickle(pickle.dumps(value, protocol), "a.pkl")
        assert type(found) is dict and found == value and list(found) == list(value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_shared_or_contains_itself_stays_so(protocol):
    shared = [1]
    array = np.arange(3)
    first, second, third, fourth = load_pickle(
        pickle.dumps((shared, shared, array, array), protocol), "a"
    )
    assert first is second and third is fourth
    loop: list = []
    loop.append(loop)
    found = load_pickle(pickle.dumps(loop, protocol), "a")
    assert found[0] is found


def test_arrays_of_numpy_1_and_of_2_are_the_same():
    text = pickle.dumps(np.arange(3.0), 2)
    old = text.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    new = text.replace(b"numpy.core.multiarray", b"numpy._core.multiarray")
    assert old != new
    assert same(load_pickle(old, "a"), load_pickle(new, "a"))


def test_python_2_wrote_bytes_as_str():
    numbers = np.arange(3, dtype="<f4")
    raw = numbers.tobytes()
    text = (
        b"\x80\x02}q\x00U\x01xq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\n"
        b"q\x03K\x00\x85U\x01b\x87R(K\x01K\x03\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U" + bytes([len(raw)]) + raw + b"tbs."
    )
    assert same(load_pickle(text, "a"), {"x": numbers})
    assert load_pickle(b"S'caf\\xe9'\np0\n.", "a") == "caf\xe9"
    assert load_pickle(b"(lp0\nI01\naI5\naL7L\naF1.5\na.", "a") == [True, 5, 7, 1.5]


class Runs:
    """Pickles as a call."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


class Plain:
    """An instance with attributes."""

    def __init__(self):
        self.x = 1


CALLS = {
    "posix.system": lambda mark: Runs(os.system, (f"touch {mark}",)),
    "builtins.eval": lambda mark: Runs(eval, (f"open({str(mark)!r}, 'w')",)),
    "builtins.exec": lambda mark: Runs(exec, (f"open({str(mark)!r}, 'w')",)),
    "builtins.getattr": lambda mark: Runs(getattr, ("text", "upper")),
    "io.open": lambda mark: Runs(open, (str(mark), "w")),
    "builtins.map": lambda mark: Runs(map, (print, [1])),
    "builtins.slice": lambda mark: slice(1),
    "builtins.range": lambda mark: range(3),
    "numpy.memmap": lambda mark: Runs(np.memmap, (str(mark), "u1", "w+", 0, (1,))),
    "numpy.fromfile": lambda mark: Runs(np.fromfile, ("/etc/hostname",)),
    "collections.Counter": lambda mark: collections.Counter("a"),
    "builtins.type": lambda mark: type,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("nested", [False, True])
def test_no_other_name_is_called_and_the_error_says_it(tmp_path, name, nested, protocol):
    mark = tmp_path / "ran"
    value = CALLS[name](mark)
    text = pickle.dumps({"a": [1, (np.arange(3), value)]} if nested else value, protocol)
    with pytest.raises(InputError) as caught:
        load_pickle(text, "bad.pkl")
    assert not mark.exists()
    assert caught.value.position.startswith("byte ")
    assert re.search(r"asks for \S+, which is not data", str(caught.value))
    if protocol >= 3:
        assert name in str(caught.value)


def test_the_same_pickles_run_with_pickle_itself(tmp_path):
    """What the test above would catch: the mark appears where a pickle runs."""
    mark = tmp_path / "ran"
    pickle.loads(pickle.dumps(CALLS["posix.system"](mark)))
    assert mark.exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_instances_are_refused(protocol):
    with pytest.raises(InputError, match="not data"):
        load_pickle(pickle.dumps(Plain(), protocol), "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"Pevil\n.", "a persistent id"), (b"K\x01Q.", "a persistent id"),
     (b"\x82\x01.", "the extension registry"), (b"\x83\x01\x00.", "the extension registry"),
     (b"\x84\x01\x00\x00\x00.", "the extension registry"), (b"(ios\nsystem\n.", "an instance"),
     (b"(cbuiltins\nlist\no.", "an instance"), (b"\x80\x02cbuiltins\nlist\n)\x81.", "an instance"),
     (b"cbuiltins\nlist\n)}\x92.", "an instance"), (b"\x80\x05\x97.", "a buffer outside"),
     (b"}\x98.", "a buffer outside"),
     # BUILD of a function or dict would set attributes
     (b"c_codecs\nencode\n}Vx\nI1\nsb.", "attributes of _codecs.encode"),
     (b"}}Vx\nI1\nsb.", "sets attributes of dict"), (b"](lb.", "sets attributes of list"),
     # calls of admitted names that would allocate, or of types that stand for themselves
     (b"cbuiltins\nbytearray\n(L1000000000000L\ntR.", "bytes of a int"),
     (b"cbuiltins\nbytes\n(L1000000000000L\ntR.", "bytes of a int"),
     (b"cnumpy\nndarray\n((L1000000000000L\nttR.", "stands for itself"),
     (b"cbuiltins\nlist\n(]tR.", "stands for itself"),
     (b"cbuiltins\nset\n(VabctR.", "truncated"), (b"cbuiltins\nset\n(Vabc\ntR.", "a set of a str"),
     (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "not text in latin-1"),
     (b"c_codecs\nencode\n.", "a name, not of data"), (b"K\x01)R.", "no function"),
     (b"c_codecs\nencode\n]R.", "no function"), (b"c_codecs\nencode\n)R.", "TypeError"),
     (b"cnumpy\ndtype\n(VO\ntR(K\x03V|\nVa\nNNK\x08K\x08K\x3ftb.", "records"),
     (b"cnumpy\ndtype\n(Vf4,f4\ntR.", "an array of 'f4,f4'"),
     (b"cnumpy\ndtype\n(VM8\ntR.", "an array of 'M8'"),
     (b"cnumpy\ndtype\n(VV8\ntR.", "an array of 'V8'"),
     (b"cnumpy\ndtype\n(VU5\ntR(K\x03V<\nNNNJ\x00\x00\x00\x40K\x04K\x08tb.",
      "records, or of a size"),
     # the machine itself
     (b"", "truncated"), (b".", "things left over"), (b"K\x01K\x02.", "things left over"),
     (b"(K\x01.", "things left over"), (b"K\x01.x", "1 bytes after the end"),
     (b"\xff", "no pickle"),
     (b"\x80\x06N.", "protocol 6"), (b"h\x05.", "nothing is remembered under 5"),
     (b"\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.", "truncated"), (b"K", "announces 1 bytes"),
     (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "announces 9223372036854775807 bytes"),
     (b"\x8b\xff\xff\xff\xff.", "announces 4294967295 bytes"), (b"Sabc\n.", "without quotes"),
     (b"N(K\x01e.", "NoneType in place of list"), (b"N(K\x01K\x02u.", "NoneType in place of dict"),
     (b"](K\x01u.", "list in place of dict"), (b"}(K\x01u.", "a key without a value"),
     (b"N(K\x01\x90.", "NoneType in place of set"), (b"}]K\x01s.", "a key that no pose file has"),
     (b"\x8f(]\x90.", "a key that no pose file has"), (b"0.", "IndexError"), (b"t.", "IndexError"),
     (b"I1\x00\n.", "ValueError"), (b"L" + b"9" * 5000 + b"L\n.", "ValueError"),
     (b"X\x02\x00\x00\x00\xff\xff.", "UnicodeDecodeError"), (b"cos\nsys\xff\n.", "Unicode")],
)  # fmt: skip
def test_bad_pickles_are_refused_with_a_reason(text, message):
    with pytest.raises(InputError) as caught:
        load_pickle(text, "a.pkl")
    assert message in str(caught.value), caught.value
    assert caught.value.path == "a.pkl"


def array_pickle(shape=(3,), dtype="f4", values=b"\0" * 12, order="<", itemsize=-1):
    """The pickle of an array whose parts are given one by one."""

    class Array:
        def __reduce__(self):
            kind = Runs(np.dtype, (dtype, False, True), (3, order, None, None, None, itemsize,
                                                         itemsize, 0))  # fmt: skip
            return (np.ones(1).__reduce__()[0], (np.ndarray, (0,), b"b"),
                    (1, shape, kind, False, values))  # fmt: skip

    return pickle.dumps(Array(), 4)


def test_the_pickles_of_the_next_test_are_right_where_nothing_is_changed():
    assert same(load_pickle(array_pickle(), "a"), np.zeros(3, "f4"))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"shape": (10**12,)}, "12 bytes for an array"), ({"shape": (2**61, 2**61)}, "12 bytes"),
     ({"shape": (-3,)}, "the shape"), ({"shape": (True,)}, "the shape"),
     ({"shape": [3]}, "the shape"),
     ({"shape": (2,)}, "12 bytes"), ({"values": b""}, "0 bytes"),
     ({"values": [0.0] * 3}, "in a list"),
     ({"dtype": "O8"}, "not as many objects"), ({"dtype": "O8", "values": [1, 2]}, "not as many"),
     ({"dtype": "O8", "shape": (10**12,), "values": []}, "not as many"),
     ({"dtype": "U0", "shape": (10**12,), "values": b"", "itemsize": 0}, "an array of"),
     ({"dtype": "U3", "itemsize": 10**6}, "records, or of a size"), ({"order": "x"}, "records"),
     ({"dtype": "U999999999", "itemsize": -1}, "ValueError")],
)  # fmt: skip
def test_what_an_array_announces_must_agree_before_anything_is_allocated(change, message):
    with pytest.raises(InputError) as caught:
        load_pickle(array_pickle(**change), "a")
    assert message in str(caught.value) or "TypeError" in str(caught.value), caught.value


def test_the_same_list_cannot_become_many_sets():
    items = pickle.dumps(list(range(1000)), 2)[:-1] + b"q\xfe0cbuiltins\nset\nq\xff0"
    call = b"h\xffh\xfe\x85R"
    assert load_pickle(items + call + b".", "a") == set(range(1000))
    with pytest.raises(InputError, match="unfolds to more"):
        load_pickle(items + b"(" + call * 5000 + b"l.", "a")


def test_the_same_bytes_in_many_arrays_are_refused():
    raw = b"\1" * 100_000
    text = b"cnumpy.core.numeric\n_frombuffer\nq\x000"
    text += b"cnumpy\ndtype\n(Vu2\ntR(K\x03V>\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbq\x010"
    text += b"B" + struct.pack("<I", len(raw)) + raw + b"q\x020"
    call = b"h\x00(h\x02h\x01M" + struct.pack("<H", 50_000) + b"\x85VC\ntR"
    once = load_pickle(text + call + b".", "a")
    assert once.shape == (50_000,) and once.dtype == ">u2"
    with pytest.raises(InputError, match="unfolds to more"):
        load_pickle(text + b"(" + call * 1000 + b"l.", "a")


def test_keys_cannot_take_exponential_time():
    text = b"}("
    text += b"N" + b"2\x86" * 200 + b"Nu."
    with pytest.raises(InputError, match="a key that no pose file has"):
        load_pickle(text, "a")
    colliding = {k * sys.hash_info.modulus: 0 for k in range(1, 100)}
    with pytest.raises(InputError, match="a key that no pose file has"):
        load_pickle(pickle.dumps(colliding), "a")


def test_very_deep_nesting_is_read_or_refused_without_a_crash():
    deep = b"]" * 300_000 + b"a" * 299_999 + b"."
    found = load_pickle(deep, "a")
    assert isinstance(found, list)


def test_admitted_names_stay_as_they_are_for_other_pickles():
    """A pickle that sets attributes of what it looked up must not change it for the next."""
    text = b"cnumpy\nndarray\n(Vx\ntb."
    with pytest.raises(InputError):
        load_pickle(text, "a")
    assert same(load_pickle(pickle.dumps(np.ones(2)), "a"), np.ones(2))


def test_an_array_is_filled_once():
    text = array_pickle()[:-1] + b"N" + b"b."
    with pytest.raises(InputError):
        load_pickle(text, "a")
    twice = array_pickle()[:-1]
    state = b"(K\x01K\x00\x85cnumpy\ndtype\n(Vu1\ntR\x89C\x00tb."
    with pytest.raises(InputError, match="filled twice"):
        load_pickle(twice + state, "a")


def test_reading_may_start_inside_of_the_bytes():
    assert load_pickle(b"header" + pickle.dumps([1]), "a", 6) == [1]


def test_nothing_registered_for_pickling_is_used():
    copyreg.add_extension("os", "system", 200)
    try:
        with pytest.raises(InputError, match="extension registry"):
            load_pickle(b"\x82" + bytes([200]) + b".", "a")
    finally:
        copyreg.remove_extension("os", "system", 200)


def attempt(text):
    try:
        load_pickle(text, "fuzz.pkl")
    except InputError as error:
        assert str(error)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_result_or_an_input_error(text):
    attempt(text)


OPCODES = st.sampled_from([op.code.encode("latin-1") for op in pickletools.opcodes])
NAMES = st.sampled_from(
    [b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n",
     b"cnumpy.core.multiarray\nscalar\n", b"c_codecs\nencode\n", b"cbuiltins\nset\n",
     b"cnumpy.core.numeric\n_frombuffer\n", b"K\x03", b"Vf4\n", b"C\x04abcd", b"\x85", b"(", b"t",
     b"R", b"b", b"\x94", b"h\x00", b"h\x01", b"}", b"]", b"N", b"\x88", b"VO\n", b"V<\n", b"2"]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(NAMES | OPCODES | st.binary(max_size=3), max_size=40))
def test_any_program_gives_a_result_or_an_input_error(parts):
    attempt(b"".join(parts) + b".")


@settings(max_examples=300)
@given(st.data())
def test_damaged_pickles_give_a_result_or_an_input_error(data):
    value = data.draw(st.sampled_from([VALUES, ARRAYS, SCALARS, {"a": ARRAYS[0], "b": [1.5] * 3}]))
    text = bytearray(pickle.dumps(value, data.draw(st.sampled_from(PROTOCOLS))))
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    attempt(bytes(text[: data.draw(st.integers(0, len(text)))]))
    attempt(bytes(text))


@pytest.mark.real
@pytest.mark.parametrize("path", ["pyskl/sample.pkl", "h36m/cameras.pkl"])
def test_real_pickles_come_out_as_pickle_gives_them(shared, path):
    text = (shared / "data" / path).read_bytes()
    assert same(pickle.load(io.BytesIO(text), encoding="latin1"), load_pickle(text, path))
