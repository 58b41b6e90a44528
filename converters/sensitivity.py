"""Which blocks of a model 8-bit integers cost most, and which few are to stay in fp32.

Each block alone is put in 8 bits: its noise is what the answers then differ from fp32's. All are,
and then blocks go back, the noisiest first, until enough inputs get the class that fp32 names, or
the right one. All of that by torch (simulate.py), on the target's rewritten graph.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from edgevit import calibration
from edgevit.errors import InputError
from edgevit.program import Program, Range, within
from edgevit.reference import Arrays, spread

from .lowering import ready
from .plan import Block, Product, by_noise, lost
from .rewrites.graph import module_path
from .simulate import CONV, Simulation, read_by, rounded_as_written

FEW = 8  # inputs on which noise is measured


def study(
    *,
    target: str,
    program: str,
    precision: str,
    counted: str | None,
    labels: Sequence[int] | None,
    most: float | None,
    plain: Sequence[int] | None = None,
) -> dict[str, Any]:
    """blocks, `snr_db` of the answers with all in 8 bits, and of a model that names classes `lost`:
    the share of the `counted` inputs whose class is not fp32's (with labels: that are right no
    more), with so many blocks in fp32, the noisiest first, until it is no more than `most`. plain:
    fp32's classes, where other weights say them than the program's.
    """
    loaded, _ = ready(Program.load(Path(program)), target=target, precision=precision)
    assert loaded.calibration
    usual = calibration.load(loaded.calibration)
    net = Simulation(loaded.exported.module(), precision, loaded.kept)
    if not net.products:
        raise InputError(f"{precision} has no convolution or linear layer to put in 8 bits")
    net.watch(usual)
    widest = dict(net.ranges)
    net.narrow(loaded.ranges)
    few = [usual[i] for i in spread(len(usual), FEW)]
    products, macs = _products(net, few, widest)
    clean = [net.answer(row) for row in few]

    def snr_db(rounded: Sequence[str]) -> float:
        net.rounded = rounded
        return answers_db(clean, [net.answer(row) for row in few])

    found = [
        Block(
            block,
            sum(macs[p] for p in macs if within(p, block)) / sum(macs.values()),
            snr_db([block]),
            tuple(p for p in products if within(p.path, block)),
        )
        for block in net.blocks
    ]
    shares = []
    named = clean[0].shape[1] if clean[0].dim() == 2 else 0
    if most is not None and max(labels or [1]) >= named:
        raise InputError(
            f"a limit counts classes: the model's first output is {[*clean[0].shape]}"
            + (f", the pictures are in {max(labels) + 1} folders" if labels else "")
        )
    if named > 1:
        rows = calibration.load(Path(counted)) if counted else usual
        shares = _shares(net, [b.path for b in by_noise(found)], rows, labels, most, plain)
    return {
        "blocks": [asdict(b) for b in found],
        "snr_db": snr_db(net.blocks),
        "lost": shares,
    }


def _shares(
    net: Simulation,
    noisiest: Sequence[str],
    rows: Sequence[Arrays],
    labels: Sequence[int] | None,
    most: float | None,
    plain: Sequence[int] | None,
) -> list[float]:
    def classes(rounded: Sequence[str]) -> np.ndarray:
        net.rounded = rounded
        return np.array([int(net.answer(row).argmax()) for row in rows])

    before, found = classes(()) if plain is None else np.array(plain), []
    for kept in range(len(noisiest) + 1):
        found.append(lost(before, classes(noisiest[kept:]), labels))
        if most is None or found[-1] <= most:
            break
    return found


def _products(
    net: Simulation, rows: Sequence[Arrays], widest: Mapping[Node, Range]
) -> tuple[list[Product], dict[str, int]]:
    """What is told of each, and the multiplications of each module.

    widest: ranges that clip nothing.
    """
    channels: dict[Node, Tensor] = {}
    signal: dict[Node, float] = defaultdict(float)
    own, here = signal.copy(), signal.copy()
    macs: dict[str, int] = defaultdict(int)
    clean: dict[Node, Tensor] = {}

    def alone(n: Node, args: Sequence[Any], written: Tensor) -> None:
        read = args[0]
        largest = read.movedim(1 if n.target is CONV else -1, 0).flatten(1).abs().amax(1)
        channels[n] = torch.maximum(largest, channels.get(n, largest))
        signal[n] += float(written.square().sum())
        own[n] += float((net.in_integers(n, args) - written).square().sum())
        clean[n] = written

    def among(n: Node, args: Sequence[Any], written: Tensor) -> None:
        here[n] += float((clean[n] - written).square().sum())

    for row in rows:
        for rounded, seen in (((), alone), (net.blocks, among)):
            net.rounded, net.seen = rounded, seen
            net.answer(row)
    net.rounded, net.seen = (), None
    found = []
    for n, weight in net.products.items():
        path, largest = module_path(n), channels[n]
        macs[path] += n.meta["val"].numel() * weight[0].numel()
        tensor = read_by(n)
        found.append(
            Product(
                path=path,
                op="conv2d" if n.target is CONV else "linear",
                shape=tuple(weight.shape),
                low=widest[tensor].low,
                high=widest[tensor].high,
                outlier=float(largest.max() / largest[largest > 0].median())
                if largest.any()
                else 1.0,
                own_db=_ratio_db(signal[n], own[n]),
                here_db=_ratio_db(signal[n], here[n]),
                read=asdict(net.ranges[tensor]) if net.static else None,
                written=asdict(net.ranges[n]) if net.static and rounded_as_written(n) else None,
            )
        )
    return found, macs


def answers_db(clean: Sequence[Tensor], noisy: Sequence[Tensor]) -> float:
    signal = sum(float(a.square().sum()) for a in clean)
    return _ratio_db(
        signal, sum(float((a - b).square().sum()) for a, b in zip(clean, noisy, strict=True))
    )


def _ratio_db(signal: float, noise: float) -> float:
    return float(10 * np.log10(max(signal, 1e-30) / max(noise, 1e-30)))
