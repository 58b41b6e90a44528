"""Fill a module from a checkpoint, name by name, and name what does not fit."""

import hashlib
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor, nn

from .checkpoint import read
from .errors import WeightsError

PREFIXES = ("module.", "model.", "_orig_mod.")
_SHOWN = 10


def load_into(module: nn.Module, file: Path) -> None:
    """Fill `module` in place from a checkpoint; every name, shape and kind of number must fit.

    Values are cast to the module's dtypes. On WeightsError the module is as it was.
    """
    tensors = read(file)
    # Other entries of a state dict (a quantizer's extra state) are no weights.
    own = {k: v for k, v in module.state_dict().items() if isinstance(v, Tensor)}
    tensors = _without_prefix(tensors, own)
    _match(tensors, own, file)
    values = {}
    for name, current in own.items():
        if name not in tensors:  # allowed by _match
            continue
        value = tensors[name].to(current.dtype)
        # A mask may hold infinities by design; then the module built it with the same ones.
        if value.is_floating_point() and not (value.isfinite() | (value == current.cpu())).all():
            raise WeightsError(
                f"{file}: {name!r} holds NaN or infinite values; train or save again"
            )
        values[name] = value
    module.load_state_dict(values, strict=False)


def digest(module: nn.Module) -> str:
    """sha256 of the module's names, dtypes, shapes and values, in hexadecimal."""
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor):
            total.update(f"{name}\n{tensor.dtype}\n{tuple(tensor.shape)}\n".encode())
            data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            total.update(data.numpy().data)
    return total.hexdigest()


def _without_prefix(tensors: dict[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """`tensors` without what wrappers put before every name, as far as the module's names fit."""
    known = set(own)
    best = tensors
    while True:
        # torch's AveragedModel counts beside its "module."
        names = [k for k in tensors if k != "n_averaged"]
        prefix = next((p for p in PREFIXES if all(k.startswith(p) for k in names)), None)
        if prefix is None or not names:
            return best
        tensors = {k.removeprefix(prefix): tensors[k] for k in names}
        if len(known & tensors.keys()) > len(known & best.keys()):
            best = tensors


def _match(tensors: dict[str, Tensor], own: dict[str, Tensor], file: Path) -> None:
    """WeightsError that lists every name, shape or kind that does not fit."""
    # Tied weights stand in a file once; the counters of batch norm are of training only.
    present = {_place(own[k]) for k in own.keys() & tensors.keys()}
    missing = [
        k
        for k in own
        if k not in tensors
        and _place(own[k]) not in present
        and k.rpartition(".")[2] != "num_batches_tracked"
    ]
    extra = [k for k in tensors if k not in own]
    wrong = [
        k
        for k in own.keys() & tensors.keys()
        if _kind(own[k]) != _kind(tensors[k]) or own[k].shape != tensors[k].shape
    ]
    parts = []
    if missing:
        parts.append(f"{len(missing)} missing: {_list(missing, _near(extra))}")
    if extra:
        parts.append(f"{len(extra)} that the model lacks: {_list(extra, _near(missing))}")
    if wrong:
        wrong = sorted(wrong, key=list(own).index)

        def differ(k: str) -> str:
            return f"{k} is {_say(tensors[k])}, the model's {_say(own[k])}"

        parts.append(f"{len(wrong)} of another shape or kind: {_list(wrong, differ)}")
        heads = {tensors[k].shape[:1] for k in wrong}
        if len(heads) == 1 and all(tensors[k].shape[1:] == own[k].shape[1:] for k in wrong):
            parts.append(f"build the model with num_classes={heads.pop()[0]} if that is its head")
    if parts:
        raise WeightsError(f"weights {file} do not fit the model: " + "; ".join(parts))


def _place(tensor: Tensor) -> tuple[int, torch.Size]:
    return tensor.data_ptr() or id(tensor), tensor.shape


def _kind(tensor: Tensor) -> str:
    return "float" if tensor.is_floating_point() else "complex" if tensor.is_complex() else "whole"


def _say(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _near(others: list[str]) -> Callable[[str], str]:
    def say(name: str) -> str:
        near = get_close_matches(name, others[:2000], n=1, cutoff=0.75)  # slow: once per shown name
        return f"{name} (near: {near[0]})" if near else name

    return say


def _list(names: list[str], say: Callable[[str], str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(say(n) for n in names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
