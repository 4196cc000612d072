"""Models of Hugging Face transformers: their folder, their weights, and loading both safely.

No code of a model's repository is run, and weights are safetensors, or loaded by torch with
``weights_only``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from posedata.errors import InputError, UsageError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# In the order in which transformers looks for them.
_WEIGHTS = (("model.safetensors", "model-*-of-*.safetensors"),
            ("pytorch_model.bin", "pytorch_model-*-of-*.bin"))  # fmt: skip
_REASON_LENGTH = 300


def find_model(model: str) -> Path:
    """Return the folder of a model, fetched from the hub where it is not one.

    Parameters
    ----------
    model : str
        A folder, as ``save_pretrained`` writes it, or a name on the Hugging Face hub. What was
        fetched before is found without a network.

    Raises
    ------
    UsageError
        If it is neither.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    remedy = "Give the folder of a model, or its name on the Hugging Face hub"
    if folder.is_file():
        raise UsageError("not a folder", path=model, remedy=remedy)
    if not _HUB_NAME.fullmatch(model):
        raise UsageError("no such folder", path=model, remedy=remedy)
    from huggingface_hub import snapshot_download

    try:
        for patterns in _WEIGHTS:
            fetched = Path(snapshot_download(model, allow_patterns=["*.json", *patterns]))
            if _files(fetched, patterns):
                break
    except Exception as error:  # of the hub's client and of two libraries beneath it
        raise UsageError(
            "neither a folder nor a model that the Hugging Face hub gives", found=repr(model),
            remedy=f"It says: {first_line(error)}. Where there is no network, give the folder of "
            "a model that was fetched elsewhere",
        ) from error  # fmt: skip
    return fetched


def weight_files(folder: Path) -> list[Path]:
    """Return the files of weights in a model's folder that transformers loads.

    Raises
    ------
    InputError
        If there is none.
    """
    for patterns in _WEIGHTS:
        if files := _files(folder, patterns):
            return files
    raise InputError("no weights in the folder", path=folder, expected="model.safetensors")


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def load_config(folder: Path) -> Any:
    """Read a model's ``config.json``.

    Raises
    ------
    InputError
        If it is not one of a model that transformers knows.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # whatever the file makes the library raise
        raise InputError("not the folder of a model that transformers knows", path=folder,
                         found=first_line(error)) from error  # fmt: skip


def load_model(kind: Any, folder: Path, config: Any, device: Any) -> Any:
    """Load a model's weights as float32, ready to be used.

    Parameters
    ----------
    kind : class
        A model class of transformers, or one of its Auto classes.
    folder : Path
        The model's folder.
    config : object
        As of `load_config`.
    device : torch.device
        Where it is to run.

    Raises
    ------
    InputError
        If the weights are not those of this model: nothing is left to chance.
    """
    import torch

    try:
        model, report = kind.from_pretrained(
            folder, config=config, dtype=torch.float32, local_files_only=True, weights_only=True,
            output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # whatever the files make the library raise
        raise InputError("transformers cannot load this model", path=folder,
                         found=first_line(error)) from error  # fmt: skip
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            "the weights are not those of the model, which transformers would fill up with random "
            "numbers", path=folder,
            found=f"{len(missing)} missing, such as {missing[0]}",
        )  # fmt: skip
    return model.to(device).eval()


def load_image_processor(folder: Path) -> Any:
    """Load what turns frames into a model's input.

    It is the one that works on Pillow and numpy, even where torchvision is installed: the same
    poses everywhere.

    Raises
    ------
    InputError
        If the folder does not say how.
    """
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(
            folder, backend="pil", trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # whatever the file makes the library raise
        raise InputError("transformers cannot load the image processor of this model", path=folder,
                         found=first_line(error), expected="preprocessor_config.json",
                         ) from error  # fmt: skip


def first_line(error: Exception) -> str:
    """Say in a line what a library complains of."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:_REASON_LENGTH]
