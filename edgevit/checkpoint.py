"""Read a checkpoint's tensors without running what the file may carry.

safetensors is read here. Anything pickled is opened in a child process, with `weights_only`, which
hands over tensors alone; a file that `weights_only` refuses is refused, never tried another way.
"""

import argparse
import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import sandbox
from .errors import ChildError, WeightsError, first_line

# Under what a checkpoint keeps its weights, in the order of preference; an average comes last.
KEYS = ("state_dict", "model", "model_state_dict", "module", "state_dict_ema", "model_ema", "ema")
_PICKLED = (".pth", ".pt", ".bin", ".ckpt")


def read(file: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by the names in the file; WeightsError for what is none."""
    try:
        with file.open("rb") as stream:
            start, size = stream.read(64), file.stat().st_size
    except OSError as e:
        raise WeightsError(f"weights {file} cannot be read: {e.strerror}; check the path") from None
    if not start:
        raise WeightsError(f"weights {file} is empty; copy or download it again")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"weights {file} is a Git LFS pointer; fetch the file with `git lfs pull`"
        )
    header = int.from_bytes(start[:8], "little")
    if file.suffix == ".safetensors" or (start[8:9] == b"{" and header + 8 <= size):
        return _read_safetensors(file)
    if file.suffix not in _PICKLED and not start.startswith((b"PK\x03\x04", b"\x80")):
        raise WeightsError(
            f"{file} is no checkpoint; safetensors and {', '.join(_PICKLED)} are read"
        )
    with tempfile.TemporaryDirectory() as folder:
        safe = Path(folder) / "weights.safetensors"
        try:
            sandbox.run("edgevit.checkpoint:unpickle", file=file.absolute(), to=safe)
        except ChildError as e:
            raise WeightsError(f"weights {file} cannot be read: {e}") from None
        return _read_safetensors(safe)


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except Exception as e:  # the format's own error, or that of torch for a dtype it lacks
        raise WeightsError(
            f"weights {file} is truncated or damaged ({first_line(e)}); copy or download it again"
        ) from None
    if not tensors:
        raise WeightsError(f"weights {file} holds no tensors; save the model's state_dict()")
    return tensors


def metadata(file: Path) -> dict[str, str]:
    """What a safetensors file says of itself; {} for others, and for what `read` refuses."""
    if file.suffix != ".safetensors":
        return {}
    try:
        with safe_open(file, "pt") as stored:
            return dict(stored.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def unpickle(file: str, to: str) -> None:
    """Write the tensors of a pickled checkpoint as safetensors: the child's half of `read`."""
    try:
        # Training scripts keep their options in the checkpoint; a Namespace only holds values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as e:
        words = str(e)
        # torch: "Unsupported global: GLOBAL x", "... TorchScript archives", "... is blocked"
        objects = isinstance(e, pickle.UnpicklingError) and (
            "GLOBAL" in words or "is blocked" in words or "Unsupported class" in words
        )
        if objects or "TorchScript" in words:
            raise WeightsError(
                f"{file} holds pickled objects, which can run code when opened, and was refused; "
                "where you trust it, save the weights again with "
                "safetensors.torch.save_model(model, 'weights.safetensors')"
            ) from None
        raise WeightsError(
            f"weights {file} is truncated or damaged ({first_line(e)}); copy or download it again"
        ) from None
    tensors = _find(content)
    if not tensors:
        raise WeightsError(f"{file} holds no state dict; save the model's state_dict()")
    # safetensors takes neither views nor two names for one storage.
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, to)


def _find(content: Any) -> dict[str, Tensor]:
    """The state dict in a checkpoint's content, or {}."""
    if not isinstance(content, dict):
        return {}
    for key in KEYS:
        if found := _find(content.get(key)):
            return found
    return {
        k: v
        for k, v in content.items()
        if isinstance(k, str) and isinstance(v, Tensor) and v.layout == torch.strided
    }
