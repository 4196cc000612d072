"""Model files of ONNX (``.onnx``), run by ONNX Runtime.

RTMPose, RTMO, ViTPose and HRNet for poses, RTMDet and YOLOX for people, and others by a card.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from posedata.errors import InputError, UsageError
from posedata.expert import Expert
from posedata.experts.model_file import ModelFile
from posedata.experts.model_signature import InputTensor
from posedata.experts.weights import find_weights
from posedata.workers.worker_protocol import Estimator

_INSTALL = 'pip install "posedata[onnx]"'
_CUDA = "CUDAExecutionProvider"
_ERRORS_ONLY = 3
_TYPES = {"float": "float32", "float16": "float16", "double": "float64", "uint8": "uint8",
          "int8": "int8", "int32": "int32", "int64": "int64"}  # fmt: skip


def open_model(model: str, device: str) -> Estimator:
    """Load a ``.onnx`` file.

    Parameters
    ----------
    model : str
        Its path.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises
    ------
    UsageError
        If there is no such file or device, or it is not known what the model is.
    InputError
        If the file is not a model that runs here.
    """
    if not model:
        raise UsageError("which model?", expected="onnx:PATH, a .onnx file")
    import onnxruntime

    providers = _providers(device)
    path = find_weights(model)
    network = _Network(path, providers, device)
    return ModelFile(network, path, f"onnxruntime {onnxruntime.__version__}", device)


def _providers(device: str) -> list[Any]:
    import onnxruntime

    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise UsageError("no such device", found=repr(device), expected="cpu, cuda or cuda:1")
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if _CUDA not in onnxruntime.get_available_providers():
        raise _no_such_device(device)
    # The fastest algorithm as measured on the spot may be another one the next time.
    options = {"device_id": match[1] or "0", "cudnn_conv_algo_search": "HEURISTIC"}
    return [(_CUDA, options), "CPUExecutionProvider"]


def _no_such_device(device: str) -> UsageError:
    import onnxruntime

    here = ", ".join(name.removesuffix("ExecutionProvider").lower()
                     for name in onnxruntime.get_available_providers())  # fmt: skip
    return UsageError(
        "ONNX Runtime cannot use this device", found=repr(device), expected=f"one of {here}",
        remedy="For CUDA, in place of onnxruntime: pip install onnxruntime-gpu",
    )  # fmt: skip


class _Network:
    """A ``.onnx`` file that ONNX Runtime has loaded."""

    def __init__(self, path: Path, providers: list[Any], device: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.use_deterministic_compute = True
        self._path = path
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its errors have no class in common
            if device != "cpu" and "CUDA" in str(error):
                raise _no_such_device(device) from None
            raise InputError(
                f"not a model that ONNX Runtime can load: {_first_line(error)}", path=path,
                remedy="Is the download complete? A .onnx file is expected",
            ) from None  # fmt: skip
        if device != "cpu" and self._session.get_providers()[0] != _CUDA:
            raise _no_such_device(device)
        self.inputs = [_describe(one) for one in self._session.get_inputs()]

    def run(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model on pictures."""
        names = [one.name for one in self._session.get_outputs()]
        try:
            values = self._session.run(names, {self.inputs[0].name: pictures})
        except Exception as error:  # its errors have no class in common
            raise InputError(
                f"ONNX Runtime cannot run this model: {_first_line(error)}", path=self._path,
                position=f"pictures of shape {list(pictures.shape)}",
            ) from None  # fmt: skip
        return {name: value for name, value in zip(names, values, strict=True)
                if isinstance(value, np.ndarray)}  # fmt: skip


def _describe(node: Any) -> InputTensor:
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in node.shape)
    kind = re.sub(r"^tensor\((.*)\)$", r"\1", node.type)
    return InputTensor(node.name, shape, _TYPES.get(kind, kind))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


EXPERT = Expert(
    name="onnx",
    about="RTMPose, RTMO, ViTPose, RTMDet, YOLOX and other .onnx models",
    model="PATH",
    open=open_model,
    modules=("onnxruntime", "cv2"),
    install=_INSTALL,
)
