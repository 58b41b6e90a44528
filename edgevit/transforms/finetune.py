"""Fine-tuning of a changed model, to get back what the change cost.

AdamW, a warm-up of a twentieth of the steps and then a cosine to zero. The loss is cross entropy
where there are labels, and the divergence from `teacher`'s classes (distillation) where there is
one; without labels the teacher alone teaches. With `ema`, what comes out is the moving average of
the weights. With `checkpoint`, each epoch is kept as safetensors, and a call that finds one goes on
there to the same numbers as if it had never stopped.
"""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from edgevit.errors import InputError, WeightsError
from edgevit.staging import explained

# The batches of epoch i: images [B, ...], and labels [B] or None.
Batches = Callable[[int], Iterable[tuple[Tensor, Tensor | None]]]


def finetune(
    module: nn.Module,
    batches: Batches,
    *,
    steps: int,
    epochs: int,
    rate: float = 1e-4,
    weight_decay: float = 0.05,
    teacher: nn.Module | None = None,
    ema: float = 0.0,
    checkpoint: Path | None = None,
    before_step: Callable[[float], None] = lambda done: None,
    told: Callable[[int, float], None] = lambda epoch, loss: None,
) -> None:
    """Train all of `module` in place, on the device it is on; afterwards it is in evaluation mode.

    Elsewhere than on a CPU, products are of bfloat16 (mixed precision), weights stay fp32.
    steps: batches in an epoch. ema: how much of the average each step keeps, as 0.999, less in the
    first steps; 0 for no average. before_step: called with the share of all steps that is done.
    told: called after each epoch with its number and its mean loss.
    """
    parameters = dict(module.named_parameters())
    wanted = {name: p.requires_grad for name, p in parameters.items()}
    module.requires_grad_(True)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters.values() if p.dim() > 1]},
        {"params": [p for p in parameters.values() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=weight_decay)
    asked = {"epochs": epochs, "steps": steps, "rate": rate, "weight_decay": weight_decay}
    asked |= {"ema": ema} if ema else {}
    average = ModelEmaV3(module, decay=ema, use_warmup=True) if ema else None
    kept = {"model": module} | ({"average": average.module} if average else {})
    first = _resume(checkpoint, kept, optimizer, asked) if checkpoint else 0
    device = next(iter(parameters.values())).device
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu")
    try:
        for epoch in range(first, epochs):
            module.train()
            losses = []
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(epoch)  # drop-out: the same whether or not it went on from a file
                for i, (images, labels) in enumerate(batches(epoch)):
                    done = (epoch * steps + i) / (epochs * steps)
                    before_step(done)
                    for group in optimizer.param_groups:
                        group["lr"] = rate * _schedule(done)
                    x = images.to(device)
                    with mixed:
                        loss = _loss(module(x), labels, teacher, x)
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    if average:
                        average.update(module, step=epoch * steps + i)
                    losses.append(loss.item())
            if not all(map(math.isfinite, losses)):
                raise InputError(f"the loss is no number in epoch {epoch + 1}: lower the rate")
            if checkpoint:
                _keep(checkpoint, kept, optimizer, asked | {"done": epoch + 1})
            told(epoch + 1, sum(losses) / len(losses))
        if average:
            module.load_state_dict(average.module.state_dict())
        before_step(1.0)
    finally:
        module.eval()
        for name, p in parameters.items():
            p.requires_grad_(wanted[name])
            p.grad = None


def _schedule(done: float, warm: float = 0.05) -> float:
    """The rate as a part of its largest, at 0 ≤ done < 1."""
    if done < warm:
        return (done + 0.01) / (warm + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (done - warm) / (1 - warm)))


def _loss(scores: Tensor, labels: Tensor | None, teacher: nn.Module | None, x: Tensor) -> Tensor:
    """scores: [B, classes]."""
    parts = []
    if labels is not None:
        parts.append(F.cross_entropy(scores, labels.to(scores.device)))
    if teacher is not None:
        with torch.no_grad():
            aim = teacher(x).log_softmax(-1)
        parts.append(F.kl_div(scores.log_softmax(-1), aim, reduction="batchmean", log_target=True))
    if not parts:
        raise InputError("neither labels nor a teacher: there is nothing to train towards")
    return torch.stack(parts).mean()


def _keep(
    file: Path, nets: dict[str, nn.Module], optimizer: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    tensors = {f"{name}.{k}": v for name, net in nets.items() for k, v in net.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
    write(file, tensors, {"facts": json.dumps(facts)})


def write(file: Path, tensors: dict[str, Any], said: dict[str, str]) -> None:
    """Tensors and what is said of them, as safetensors: the file is there whole or not at all."""
    made = file.with_name(f"{file.name}.part")
    # safetensors takes neither views nor two names for one storage.
    own = {k: v.detach().clone().contiguous() for k, v in tensors.items() if isinstance(v, Tensor)}
    with explained(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(own, made, said)
        made.replace(file)


def _resume(
    file: Path, nets: dict[str, nn.Module], optimizer: torch.optim.Optimizer, asked: dict[str, Any]
) -> int:
    """Epochs done: 0 where there is no file, else nets and optimizer are as they were then."""
    if not file.exists():
        return 0
    try:
        with safe_open(file, "pt") as stored:
            facts = json.loads((stored.metadata() or {})["facts"])
            tensors = {k: stored.get_tensor(k) for k in stored.keys()}  # noqa: SIM118
        done = int(facts.pop("done"))
        same = facts == asked
    except Exception as e:  # the format's own error among them
        raise WeightsError(f"{file} is no checkpoint of a fine-tuning ({e}); remove it") from None
    if not same:
        raise InputError(f"{file} is of a fine-tuning with {facts}, not {asked}; remove it")
    for name, net in nets.items():
        own = f"{name}."
        net.load_state_dict({k[len(own) :]: v for k, v in tensors.items() if k.startswith(own)})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, i, key = name.split(".")
            state.setdefault(int(i), {})[key] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    return done
