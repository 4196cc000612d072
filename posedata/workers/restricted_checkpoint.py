"""Reading torch's checkpoints without running what they ask for.

A checkpoint holds a pickle, and a pickle may call any function that can be imported. Here it gets
tensors, numpy arrays and plain containers; and of everything else what the caller admits.
``weights_only=True`` of torch refuses most files of mmpose and all of openpifpaf.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from worker_error import WorkerError

_BLOCK = 1 << 20
_ZIP, _PICKLE_2 = b"PK\x03\x04", b"\x80\x02"

#: What builds tensors, arrays and containers, and can do nothing else.
_DATA = {
    *(("builtins", name) for name in ("bytearray", "complex", "dict", "float", "frozenset", "int",
                                      "list", "set", "slice", "tuple")),
    ("collections", "OrderedDict"), ("collections", "defaultdict"), ("_codecs", "encode"),
    ("torch", "Size"), ("torch", "device"),
    ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter"),
    ("torch.serialization", "_get_layout"),
    ("numpy", "ndarray"), ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core")
      for name in ("_reconstruct", "scalar")),
    ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"),
}  # fmt: skip
_DTYPES = {f"{kind}{bits}" for kind in ("int", "float") for bits in (16, 32, 64)} | {
    "bfloat16", "bool", "int8", "uint8", "half", "double", "long"
}  # fmt: skip


class Inert:
    """Stands for an object of a class that is not admitted: it takes anything and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Inert:
        """Take the place of what a pickled function gives."""
        return self

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None:
        """Take the place of a list."""

    def extend(self, values: Any) -> None:
        """Take the place of a list."""


def replace_unknown(module: str, name: str) -> type:
    """Admit no class: an inert object stands for each of another kind."""
    return Inert


def read_checkpoint(path: Path, admit: Callable[[str, str], type] = replace_unknown) -> Any:
    """Read a checkpoint that ``torch.save`` wrote, on the CPU.

    Parameters
    ----------
    path : Path
        The file.
    admit : callable
        ``(module, name) -> class`` for what is neither a tensor, an array nor a container. It may
        raise `WorkerError`.

    Raises
    ------
    WorkerError
        If there is no such file, or it is not a checkpoint that can be read.
    """
    import torch

    _check_kind(path)
    reader = ModuleType("restricted_pickle")
    vars(reader).update(vars(pickle), Unpickler=_make_unpickler(admit))
    vars(reader)["load"] = lambda file, **options: reader.Unpickler(file, **options).load()
    try:
        return torch.load(str(path), map_location="cpu", pickle_module=reader, weights_only=False)
    except WorkerError as error:
        raise WorkerError(error.reason, path=path) from error
    except Exception as error:  # whatever odd bytes make torch do, it is the bytes' fault
        first_line = (str(error).splitlines() or [""])[0][:200]
        raise WorkerError("not a checkpoint of torch that can be read", path=path,
                          found=f"{type(error).__name__}: {first_line}",
                          remedy="Copy or download the file again.") from error  # fmt: skip


def weights_of(path: Path) -> dict[str, str]:
    """Name a file as a layer's provenance does: ``file`` without folder, and its ``sha256``."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return {"file": path.name, "sha256": digest.hexdigest()}


def _check_kind(path: Path) -> None:
    """See that it is one of the two kinds that ``torch.save`` writes.

    ``torch.load`` takes two more, archives with compiled code and tar files, by other ways than
    the pickle's.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_ZIP))
        names = zipfile.ZipFile(path).namelist() if start == _ZIP else []
    except OSError as error:
        raise WorkerError("a checkpoint that cannot be read", path=path,
                          found=error.strerror or error) from error  # fmt: skip
    except Exception as error:  # zipfile has many for a damaged directory
        raise WorkerError("a damaged checkpoint", path=path, found=error,
                          remedy="Copy or download the file again.") from error  # fmt: skip
    if any(name.endswith("/constants.pkl") for name in names):
        raise WorkerError("compiled code (TorchScript), not a checkpoint", path=path)
    if start != _ZIP and not start.startswith(_PICKLE_2):
        raise WorkerError("not a checkpoint of torch", path=path,
                          found=f"a file that begins with {start!r}" if start else "an empty file",
                          expected="one that torch.save wrote")  # fmt: skip


def _make_unpickler(admit: Callable[[str, str], type]) -> type:
    # The one of pickle that is written in Python: the compiled one allocates what a pickle claims.
    class Unpickler(pickle._Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            module = "builtins" if module == "__builtin__" else module
            is_dtype = module == "torch" and name in _DTYPES
            is_numpy_dtype = module == "numpy.dtypes" and name.endswith("DType")
            is_storage = module in ("torch", "torch.storage") and name.endswith("Storage")
            if (module, name) in _DATA or is_dtype or is_numpy_dtype or is_storage:
                return _import(module, name)
            return admit(module, name)

    return Unpickler


def _import(module: str, name: str) -> Any:
    from importlib import import_module

    if module.startswith(("numpy.core.", "numpy._core.")):
        # numpy 2 renamed the package, and a checkpoint may be of the other one.
        import numpy as np

        is_new = int(np.__version__.split(".")[0]) >= 2
        module = f"numpy.{'_core' if is_new else 'core'}.{module.split('.')[2]}"
    return getattr(import_module(module), name)
