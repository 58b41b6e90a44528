"""Our counts of parameters and multiply-accumulates against the digits that a paper prints."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevit.errors import InputError

from .table import Row, Table

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Counted:
    """A row with our counts, in millions and 1e9. why: of a difference, in words; else empty."""

    row: str
    model: str
    params_m: float
    macs_g: float
    printed_params_m: str
    printed_macs_g: str
    why: str

    @property
    def agrees(self) -> bool:
        return not self.why


def counts(table: Table) -> Iterator[Counted]:
    """Count each row's model, as it is deployed, at the row's input side.

    MACs are those of convolutions and products, attention's included, as in `Facts`; norms,
    activations and poolings are not counted. InputError for a table that prints neither.
    """
    if not {"model", "params_m", "macs_g", "input_px"} <= {*table.columns}:
        raise InputError(f"table {table.name!r} prints no parameters and MACs to hold ours against")
    for row in table.rows:
        params_m, macs_g = _count(row)
        printed = row["params_m"], row["macs_g"]
        agrees = (_as_printed(params_m, printed[0]), _as_printed(macs_g, printed[1])) == printed
        why = "" if agrees else table.disagreements.get(row["model"], "nobody has found out why")
        yield Counted(row["row"], row["model"], params_m, macs_g, *printed, why)


def _count(row: Row) -> tuple[float, float]:
    import torch

    from edgevit.program import counting, outputs_of

    side = int(row["input_px"])
    net = _deployed(row["model"])
    with torch.device(next(net.parameters()).device):
        image = torch.zeros(1, 3, side, side)
    with counting() as flops:
        outputs_of(net, [image])
    return sum(p.numel() for p in net.parameters()) / 1e6, flops.get_total_flops() / 2e9


def _deployed(model: str) -> "nn.Module":
    """On the meta device, which computes nothing; with training-time branches merged on the CPU."""
    import torch
    from timm.utils.model import reparameterize_model

    with torch.device("meta"):
        net = _net(model)
    if any(hasattr(part, "reparameterize") for part in net.modules()):
        net = reparameterize_model(_net(model))
    return net.eval().requires_grad_(False)


def _net(model: str) -> "nn.Module":
    import timm

    from edgevit.models import MODELS
    from edgevit.models.zoo import own_net

    timm_name = MODELS[model].timm_name
    return own_net(model) if timm_name is None else timm.create_model(timm_name)


def _as_printed(count: float, text: str) -> str:
    """`count` with as many decimals as `text` has."""
    return f"{count:.{len(text.partition('.')[2])}f}"
