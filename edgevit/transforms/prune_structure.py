"""What a pruned model is, so that its weights need no pickle: JSON that goes with them.

Besides the shapes of its weights a pruned model differs from the whole one only in numbers that its
modules count by, and blocks left out; `restructured` makes the one of the other.
"""

import copy
import json

import torch
from torch import nn

from edgevit.errors import WeightsError
from edgevit.program import within

from .prune_narrow import follows, put


def structure(net: nn.Module, whole: nn.Module) -> str:
    """What `net` differs in from `whole`, as JSON: blocks, shapes, numbers that modules count."""
    modules = dict(net.named_modules())
    gone = [
        path
        for path, old in whole.named_modules()
        if path in modules and type(modules[path]) is nn.Identity and type(old) is not nn.Identity
    ]
    before = whole.state_dict()
    shapes = {
        name: [*tensor.shape]
        for name, tensor in net.state_dict().items()
        if tensor.shape != before[name].shape
    }
    counts = {}
    for path, module in modules.items():
        old, known = vars(whole.get_submodule(path)), follows(module)
        for name, value in vars(module).items():
            if type(value) in (int, float) and name not in known and value != old[name]:
                counts[f"{path}.{name}".lstrip(".")] = value
    return json.dumps({"gone": gone, "shapes": shapes, "counts": counts})


def joined(old: str, new: str) -> str:
    """Of a model that had the structure `old` before it was given `new`."""
    first, then = json.loads(old), json.loads(new)
    gone = [*first.get("gone", ()), *then["gone"]]
    both = {
        key: {
            name: value
            for name, value in (first[key] | then[key]).items()
            if not any(within(name, block) for block in gone)
        }
        for key in ("shapes", "counts")
    }
    return json.dumps({"gone": gone, **both})


def restructured(net: nn.Module, said: str) -> nn.Module:
    """A copy of the whole model with the structure that `structure` gave, its weights unset.

    WeightsError for the structure of another model.
    """
    made = copy.deepcopy(net)
    try:
        read = json.loads(said)
        for block in read.get("gone", ()):
            made.set_submodule(block, nn.Identity(), strict=True)
        tensors = made.state_dict()
        for name, shape in read["shapes"].items():
            old = tensors[name]
            fits = len(shape) == old.dim() and all(
                type(a) is int and 0 < a <= b for a, b in zip(shape, old.shape, strict=True)
            )
            if not fits:
                raise ValueError(f"{name} is {shape} in them, {[*old.shape]} in this one")
            put(made, name, torch.zeros(shape, dtype=old.dtype))
        for place, value in read["counts"].items():
            path, _, name = place.rpartition(".")
            module = made.get_submodule(path)
            if not type(getattr(module, name)) is type(value) in (int, float):
                raise ValueError(f"{place} is no such number")
            setattr(module, name, value)
    except (KeyError, AttributeError, TypeError, ValueError) as e:
        raise WeightsError(f"these weights were pruned from another model ({e})") from None
    return made


def widths(said: str, whole: nn.Module) -> dict[str, list[int]]:
    """By layer, channels written [before, now], of the convolutions and linear layers pruned."""
    read, found = json.loads(said), {}
    for path, layer in whole.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            before = len(layer.weight)
            (now, *_) = read["shapes"].get(f"{path}.weight", layer.weight.shape)
            gone = any(within(path, block) for block in read["gone"])
            if gone or now < before:
                found[path] = [before, 0 if gone else now]
    return found
