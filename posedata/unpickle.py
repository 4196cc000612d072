"""Reading pickles that nobody vouches for: data comes out, and nothing in them runs.

A pickle is a program for a small stack machine, and ``pickle.load`` lets that program call any
function that can be imported. This is the same machine without those parts: it knows numbers,
text, lists, tuples, dicts, sets and numpy arrays of numbers, truth values, text or such objects,
as Python 2 and 3 and numpy 1 and 2 write them, and it looks up no name: the few that such data
need stand in a table, each with a function of :mod:`posedata.pickled_values`, and every other one
ends the reading.

It is no restricted ``pickle.Unpickler``, because the opcodes of that one allocate what a pickle
claims (a memo of 2**32 entries, an array of 10**12 numbers) before they look at what is there.
The opcodes are described in CPython's ``pickletools``.
"""

from __future__ import annotations

import codecs
import pickle
import reprlib
import struct
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from posedata.errors import InputError
from posedata.pickled_values import CALLS, fill_array, fill_dtype

_PROTOCOLS = range(6)
_MODULES = {
    "__builtin__": "builtins",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
}


def load_pickle(text: bytes, path: str, start: int = 0) -> Any:
    """Read a pickle of numbers, text, lists, dicts and numpy arrays; run nothing.

    Parameters
    ----------
    text : bytes
        The whole file, of any pickle protocol (0 to 5). Byte strings of Python 2 become str, one
        character a byte (latin-1).
    path : str
        Its name, for error messages.
    start : int
        Where in ``text`` the pickle begins, e.g. after the header of a ``.npy`` file.

    Returns
    -------
    object
        None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset,
        numpy arrays, scalars and dtypes, and any nesting of these. An ``OrderedDict`` or
        ``defaultdict`` becomes a dict, in the same order. A list may contain itself.

    Raises
    ------
    InputError
        For everything else, with the byte where it is, and for a name that is not admitted with
        that name. Never another error, and never more memory for arrays than twice the file's
        bytes.

    Examples
    --------
    >>> load_pickle(pickle.dumps({"label": [3, 5]}), "labels.pkl")
    {'label': [3, 5]}
    >>> load_pickle(pickle.dumps(print), "bad.pkl")
    Traceback (most recent call last):
    ...
    posedata.errors.InputError: bad.pkl, byte 30: the pickle asks for builtins.print, which is \
not data: nothing was run. Load it yourself if you trust it, and save plain lists, dicts and arrays.
    """
    machine = _Machine(text, path, start)
    try:
        return machine.run()
    except InputError:
        raise
    except Exception as error:  # whatever odd bytes make an operation do, it is the bytes' fault
        reason = "it needs more memory than there is" if isinstance(error, MemoryError) else error
        machine.refuse(f"a damaged pickle: {type(error).__name__}: {reason}")


class _Name:
    """An admitted name on the stack: nothing but what REDUCE looks up in `CALLS`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


class _Machine:
    """The stack machine: where it is in the bytes, its stack, the marked stacks below, its memo."""

    __slots__ = ("array_bytes", "marked", "memo", "path", "position", "stack", "start", "text")

    def __init__(self, text: bytes, path: str, start: int) -> None:
        self.text, self.path = text, path
        self.position = self.start = start
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.array_bytes = 0

    def run(self) -> Any:
        text, operations, size = self.text, _OPERATIONS, len(self.text)
        while self.position < size:
            self.start = self.position
            self.position += 1
            code = text[self.start]
            if code == _STOP:
                break
            operations[code](self)
        else:
            self.refuse("a truncated pickle", "Copy the file again.")
        if self.marked or len(self.stack) != 1:
            self.refuse("a damaged pickle: it ends with things left over")
        if self.position < size:
            self.start = self.position
            self.refuse(f"{size - self.position} bytes after the end of the pickle")
        if isinstance(self.stack[0], _Name):
            self.refuse("a pickle of a name, not of data")
        return self.stack[0]

    def refuse(self, message: str, remedy: str | None = None) -> NoReturn:
        raise InputError(message, path=self.path, position=f"byte {self.start}", remedy=remedy)

    def take(self, size: int) -> bytes:
        """Give the next bytes; a size that the file does not have allocates nothing."""
        begin, end = self.position, self.position + size
        if size < 0 or end > len(self.text):
            self.refuse(
                f"a truncated pickle: it announces {size} bytes and {len(self.text) - begin} follow"
            )
        self.position = end
        return self.text[begin:end]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def line(self) -> bytes:
        end = self.text.find(b"\n", self.position)
        if end < 0:
            self.refuse("a truncated pickle", "Copy the file again.")
        line = self.text[self.position : end]
        self.position = end + 1
        return line

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def charge(self, num_bytes: int) -> None:
        """Count memory for arrays; each byte of theirs is once in the file, and perhaps as text.

        Without this, a thousand arrays could be made of the same bytes, each with its own copy.
        """
        self.array_bytes += num_bytes
        if self.array_bytes > 2 * len(self.text):
            self.refuse("a pickle that unfolds to more bytes of arrays than it has itself")

    def top(self, kind: type) -> Any:
        target = self.stack[-1]
        if type(target) is not kind:
            self.refuse(f"a damaged pickle: {type(target).__name__} in place of {kind.__name__}")
        return target

    def key(self, key: Any) -> Any:
        """Give a key of a dict or set back, if looking it up takes no time that a file can choose.

        Tuples of tuples of tuples ... that share their parts take exponential time to hash, and
        whole numbers beyond 64 bits can be made to collide.
        """
        if type(key) is str:
            return key
        for part in key if type(key) is tuple else (key,):
            simple = part is None or isinstance(part, str | bytes | int | float | np.generic)
            if not simple or (isinstance(part, int) and part.bit_length() > 64):
                self.refuse(f"a key that no pose file has: {reprlib.repr(type(part).__name__)}")
        return key

    def store(self, target: dict, items: list[Any]) -> None:
        if len(items) % 2:
            self.refuse("a damaged pickle: a key without a value")
        for i in range(0, len(items), 2):
            target[self.key(items[i])] = items[i + 1]

    def name_of(self, module: Any, name: Any) -> _Name:
        if not isinstance(module, str) or not isinstance(name, str):
            self.refuse("a damaged pickle: a name that is no text")
        full = f"{_MODULES.get(module, module)}.{name}"
        if full not in CALLS:
            shown = reprlib.repr(f"{module}.{name}")[1:-1]
            self.refuse(
                f"the pickle asks for {shown}, which is not data: nothing was run",
                "Load it yourself if you trust it, and save plain lists, dicts and arrays.",
            )
        return _Name(full)


# The opcodes: one function each. What they do is said in pickletools.


def _pusher(value_of: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    def push(machine: _Machine) -> None:
        value = value_of(machine)  # first: it may exchange the stack
        machine.stack.append(value)

    return push


def _refuser(message: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.refuse(message)


def _put(machine: _Machine, index: int) -> None:
    machine.memo[index] = machine.stack[-1]


def _get(machine: _Machine, index: int) -> Any:
    if index not in machine.memo:
        machine.refuse(f"a damaged pickle: nothing is remembered under {index}")
    return machine.memo[index]


def _integer_line(machine: _Machine) -> Any:
    line = machine.line()
    return line == b"01" if line in (b"00", b"01") else int(line.rstrip(b"L"))


def _string_line(machine: _Machine) -> str:
    line = machine.line()
    if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
        machine.refuse("a damaged pickle: a string without quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


def _protocol(machine: _Machine) -> None:
    if (protocol := machine.number(1)) not in _PROTOCOLS:
        machine.refuse(f"a pickle of protocol {protocol}, which is unknown")


def _frame(machine: _Machine) -> None:
    if machine.number(8) > len(machine.text) - machine.position:
        machine.refuse("a truncated pickle", "Copy the file again.")


def _mark(machine: _Machine) -> None:
    machine.marked.append(machine.stack)
    machine.stack = []


def _pop(machine: _Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


def _pop_mark(machine: _Machine) -> None:
    machine.pop_mark()


def _tuple(machine: _Machine) -> Any:
    return tuple(machine.pop_mark())


def _short_tuple(machine: _Machine, size: int) -> None:
    stack = machine.stack
    if len(stack) < size:
        machine.refuse("a damaged pickle: too little on the stack")
    stack[-size:] = [tuple(stack[-size:])]


def _dict(machine: _Machine) -> Any:
    items = machine.pop_mark()
    target: dict = {}
    machine.store(target, items)
    return target


def _append(machine: _Machine) -> None:
    item = machine.stack.pop()
    machine.top(list).append(item)


def _appends(machine: _Machine) -> None:
    items = machine.pop_mark()
    machine.top(list).extend(items)


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.store(machine.top(dict), [key, value])


def _set_items(machine: _Machine) -> None:
    items = machine.pop_mark()
    machine.store(machine.top(dict), items)


def _add_items(machine: _Machine) -> None:
    items = machine.pop_mark()
    machine.top(set).update(map(machine.key, items))


def _global(machine: _Machine) -> Any:
    module, name = machine.line().decode(), machine.line().decode()
    return machine.name_of(module, name)


def _stack_global(machine: _Machine) -> Any:
    name, module = machine.stack.pop(), machine.stack.pop()
    return machine.name_of(module, name)


def _reduce(machine: _Machine) -> Any:
    arguments, name = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, _Name) or type(arguments) is not tuple:
        machine.refuse("a damaged pickle: a call of something that is no function")
    return CALLS[name.name](machine, *arguments)


def _build(machine: _Machine) -> None:
    state, target = machine.stack.pop(), machine.stack[-1]
    if type(target) is np.ndarray:
        fill_array(machine, target, *state)
    elif isinstance(target, np.dtype):
        fill_dtype(machine, target, *state)
    else:
        what = repr(target) if isinstance(target, _Name) else type(target).__name__
        machine.refuse(f"the pickle sets attributes of {what}, which is not data")


_STOP = pickle.STOP[0]
_PUSHES: dict[bytes, Callable[[_Machine], Any]] = {
    pickle.NONE: lambda m: None,
    pickle.NEWTRUE: lambda m: True,
    pickle.NEWFALSE: lambda m: False,
    pickle.INT: _integer_line,
    pickle.LONG: _integer_line,
    pickle.BININT: lambda m: struct.unpack("<i", m.take(4))[0],
    pickle.BININT1: lambda m: m.number(1),
    pickle.BININT2: lambda m: m.number(2),
    pickle.LONG1: lambda m: int.from_bytes(m.take(m.number(1)), "little", signed=True),
    pickle.LONG4: lambda m: int.from_bytes(m.take(m.number(4)), "little", signed=True),
    pickle.FLOAT: lambda m: float(m.line()),
    pickle.BINFLOAT: lambda m: struct.unpack(">d", m.take(8))[0],
    pickle.STRING: _string_line,
    pickle.BINSTRING: lambda m: m.take(m.number(4)).decode("latin-1"),
    pickle.SHORT_BINSTRING: lambda m: m.take(m.number(1)).decode("latin-1"),
    pickle.UNICODE: lambda m: m.line().decode("raw-unicode-escape"),
    pickle.SHORT_BINUNICODE: lambda m: m.take(m.number(1)).decode("utf-8", "surrogatepass"),
    pickle.BINUNICODE: lambda m: m.take(m.number(4)).decode("utf-8", "surrogatepass"),
    pickle.BINUNICODE8: lambda m: m.take(m.number(8)).decode("utf-8", "surrogatepass"),
    pickle.SHORT_BINBYTES: lambda m: m.take(m.number(1)),
    pickle.BINBYTES: lambda m: m.take(m.number(4)),
    pickle.BINBYTES8: lambda m: m.take(m.number(8)),
    pickle.BYTEARRAY8: lambda m: bytearray(m.take(m.number(8))),
    pickle.EMPTY_LIST: lambda m: [],
    pickle.EMPTY_TUPLE: lambda m: (),
    pickle.EMPTY_DICT: lambda m: {},
    pickle.EMPTY_SET: lambda m: set(),
    pickle.LIST: lambda m: m.pop_mark(),
    pickle.TUPLE: _tuple,
    pickle.DICT: _dict,
    pickle.FROZENSET: lambda m: frozenset(map(m.key, m.pop_mark())),
    pickle.DUP: lambda m: m.stack[-1],
    pickle.GET: lambda m: _get(m, int(m.line())),
    pickle.BINGET: lambda m: _get(m, m.number(1)),
    pickle.LONG_BINGET: lambda m: _get(m, m.number(4)),
    pickle.GLOBAL: _global,
    pickle.STACK_GLOBAL: _stack_global,
    pickle.REDUCE: _reduce,
}
_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    pickle.PROTO: _protocol,
    pickle.FRAME: _frame,
    pickle.MARK: _mark,
    pickle.POP: _pop,
    pickle.POP_MARK: _pop_mark,
    pickle.PUT: lambda m: _put(m, int(m.line())),
    pickle.BINPUT: lambda m: _put(m, m.number(1)),
    pickle.LONG_BINPUT: lambda m: _put(m, m.number(4)),
    pickle.MEMOIZE: lambda m: _put(m, len(m.memo)),
    pickle.TUPLE1: lambda m: _short_tuple(m, 1),
    pickle.TUPLE2: lambda m: _short_tuple(m, 2),
    pickle.TUPLE3: lambda m: _short_tuple(m, 3),
    pickle.APPEND: _append,
    pickle.APPENDS: _appends,
    pickle.SETITEM: _set_item,
    pickle.SETITEMS: _set_items,
    pickle.ADDITEMS: _add_items,
    pickle.BUILD: _build,
}
_REFUSED = {
    pickle.PERSID: "a persistent id", pickle.BINPERSID: "a persistent id",
    pickle.EXT1: "the extension registry", pickle.EXT2: "the extension registry",
    pickle.EXT4: "the extension registry", pickle.INST: "an instance of a class",
    pickle.OBJ: "an instance of a class", pickle.NEWOBJ: "an instance of a class",
    pickle.NEWOBJ_EX: "an instance of a class", pickle.NEXT_BUFFER: "a buffer outside of the file",
    pickle.READONLY_BUFFER: "a buffer outside of the file",
}  # fmt: skip
_OPERATIONS = [_refuser("a damaged pickle, or no pickle")] * 256
for _code, _value_of in _PUSHES.items():
    _OPERATIONS[_code[0]] = _pusher(_value_of)
for _code, _step in _STEPS.items():
    _OPERATIONS[_code[0]] = _step
for _code, _what in _REFUSED.items():
    _OPERATIONS[_code[0]] = _refuser(
        f"the pickle asks for {_what}, which is not data: nothing was run"
    )
