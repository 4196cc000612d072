"""JSON text to Python objects, with number arrays as numpy arrays, and errors that say where."""

from __future__ import annotations

import json
from typing import Any

from posedata.errors import InputError


def parse_json(text: bytes, path: str) -> Any:
    """Read JSON as other tools write it: also with the tokens NaN, Infinity and -Infinity.

    Parameters
    ----------
    text : bytes
        The whole file, UTF-8; a byte order mark is skipped.
    path : str
        Its name, for error messages.

    Returns
    -------
    object
        dict, list, str, int, float, bool or None.

    Raises
    ------
    InputError
        Where the text is not JSON, with line and column, or is nested too deeply.
    """
    import simdjson

    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        return simdjson.loads(text)
    except (ValueError, RuntimeError):
        pass  # what is beyond simdjson, NaN or a number past 64 bits, may be within json
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        found = error.doc[error.pos : error.pos + 20] if error.doc else ""
        raise InputError(
            f"not JSON: {error.msg}", path=path, position=f"line {error.lineno}, "
            f"column {error.colno}", found=repr(found) if found else "end of file",
            remedy="The file seems truncated: copy it again." if not found else None,
        ) from None  # fmt: skip
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", path=path, position=f"byte {error.start}") from None
    except RecursionError:
        raise InputError("not JSON of any pose format: nested too deeply", path=path) from None
