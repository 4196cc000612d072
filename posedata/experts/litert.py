"""Model files of TensorFlow Lite (``.tflite``): MoveNet, EfficientPose, and others by a card.

Run by ``ai-edge-litert`` on the CPU, a picture at a time: on a CPU, several at once take as long.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import numpy as np

from posedata.errors import InputError, UsageError
from posedata.expert import Expert
from posedata.experts.model_file import ModelFile
from posedata.experts.model_signature import InputTensor
from posedata.experts.weights import find_weights
from posedata.workers.worker_protocol import Estimator

_INSTALL = 'pip install "posedata[litert]"'


def open_model(model: str, device: str) -> Estimator:
    """Load a ``.tflite`` file.

    Parameters
    ----------
    model : str
        Its path.
    device : str
        ``"cpu"``.

    Raises
    ------
    UsageError
        If there is no such file, the device is another, or it is not known what the model is.
    InputError
        If the file is not a model that runs here.
    """
    if not model:
        raise UsageError("which model?", expected="litert:PATH, a .tflite file")
    if device != "cpu":
        raise UsageError("the expert litert has no such device", found=repr(device),
                         expected="cpu")  # fmt: skip
    path = find_weights(model)
    return ModelFile(_Network(path), path, f"ai-edge-litert {version('ai-edge-litert')}", device)


class _Network:
    """A ``.tflite`` file that LiteRT has loaded."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._path = path
        try:
            # The file is checked before it is used, which a model in memory is not.
            self._interpreter = Interpreter(model_path=str(path), num_threads=_num_threads())
            details = self._interpreter.get_input_details()
            self._outputs = self._interpreter.get_output_details()
            self.inputs = [_describe(one) for one in details]
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"not a model that LiteRT can load: {_first_line(error)}", path=path,
                remedy="Is the download complete? A .tflite file is expected",
            ) from None  # fmt: skip
        self._indices = [one["index"] for one in details]
        self._shape: tuple[int, ...] | None = None

    def run(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model on one picture."""
        interpreter = self._interpreter
        try:
            if pictures.shape != self._shape:
                if None in self.inputs[0].shape:
                    interpreter.resize_tensor_input(self._indices[0], pictures.shape)
                interpreter.allocate_tensors()
                self._shape = pictures.shape
            interpreter.set_tensor(self._indices[0], pictures)
            interpreter.invoke()
            return {one["name"]: _real(interpreter.get_tensor(one["index"]), one)
                    for one in self._outputs}  # fmt: skip
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"LiteRT cannot run this model: {_first_line(error)}", path=self._path,
                position=f"a picture of shape {list(pictures.shape)}",
            ) from None  # fmt: skip


def _describe(details: dict) -> InputTensor:
    signature = details["shape_signature"]
    shape = tuple(None if side < 0 else int(side) for side in signature)
    if shape and shape[0] is None:
        shape = (1, *shape[1:])
    scale, zero = details["quantization"]
    return InputTensor(details["name"], shape, np.dtype(details["dtype"]).name,
                       float(scale), int(zero))  # fmt: skip


def _real(values: np.ndarray, details: dict) -> np.ndarray:
    """Give the numbers that an output stands for."""
    scale, zero = details["quantization"]
    if not scale:
        return values
    return (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)


def _num_threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


EXPERT = Expert(
    name="litert",
    about="MoveNet, EfficientPose and other .tflite models",
    model="PATH",
    open=open_model,
    modules=("ai_edge_litert", "cv2"),
    install=_INSTALL,
    cpu_only=True,
)
