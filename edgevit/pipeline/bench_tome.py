"""What merging tokens gains: in files that an app would ship, and in torch, where batches run."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import sound
from ..profiles import gpu
from ..profiles.run import Run
from ..recipe import Recipe
from .convert import Limits
from .profile import session
from .tome import tome

BATCH = 32  # of torch's; the paper states none
MEMORY_BYTES = 64 << 30  # ViT-L on video needs that much to be converted


@dataclass(frozen=True)
class Pair:
    """A model itself and with tokens merged, side by side; by_macs: what fewer products would give.

    batch: items of a sample.
    """

    plain: Run
    merged: Run
    batch: int = 1
    by_macs: float | None = None


def in_files(
    recipe: Recipe, r: int, target: str, *, out: Path, timeout_s: float, **settings: Any
) -> Pair:
    """Of files for `target`; settings: see `tome`. Raises what ended either of them."""
    limits = Limits(timeout_s=timeout_s, memory_bytes=MEMORY_BYTES)
    plain, merged = sound(tome(recipe, [r], target=target, out=out, limits=limits, **settings))
    return Pair(plain.run, merged.run, by_macs=merged.ideal)


def in_torch(
    recipe: Recipe,
    r: int,
    runtime: str,
    *,
    out: Path,
    watch: Callable[[str, str], None],
    batch: int = BATCH,
    **settings: Any,
) -> Pair:
    """Of one of torch's gpu.RUNTIMES; settings: see `bench.profile`. Raises what ended either."""
    recipes = (recipe, replace(recipe, tome=r))
    items = [gpu.item(one, runtime, out, batch=batch) for one in recipes]
    plain, merged = sound(session(items, job=runtime, watch=watch, **settings))
    return Pair(plain, merged, batch)
