"""Weights written by hand in the formats of MIL, and programs that give them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from programs import evaluated, tools

MASK = [[1, 0, 1, 0], [0, 1, 1, 0]]


def narrow(values, kind: str) -> np.ndarray:
    """Numbers in one of MIL's formats that numpy has not."""
    return np.array(values).astype(getattr(tools().types, f"np_{kind}_dtype"))


def packed(values, bits: int) -> np.ndarray:
    """As iOS 16 keeps them: from the lowest bit up, in bytes."""
    places = sum(int(v) << (bits * i) for i, v in enumerate(values))
    return np.frombuffer(places.to_bytes((len(values) * bits + 7) // 8, "little"), np.uint8)


def f(*values) -> np.ndarray:
    return np.array(values, np.float32)


def sparse(mb, operator, **given):
    """An operator that gives a mask and values, and the tensor that they stand for."""
    mask, values = getattr(mb, operator)(**given)
    return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask)


def weight_of(case: tuple[int, Callable]) -> Any:
    """What (iOS, build(mb)) stands for, let out of the program as a sum with zero."""
    ios, build = case
    (found,) = evaluated(lambda mb, x: mb.add(x=x, y=build(mb)), f(0), ios=ios)
    return found.tolist()
