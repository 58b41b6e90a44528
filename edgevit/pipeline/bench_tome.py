"""What merging tokens gains: in files that an app would ship, and in torch, where batches run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors import EdgevitError
from ..profiles import bench, gpu
from ..profiles.run import Run
from ..recipe import Recipe
from .convert import Limits
from .tome import tome

T = TypeVar("T")
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
    plain, merged = _sound(tome(recipe, [r], target=target, out=out, limits=limits, **settings))
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
    found = bench.profile(
        items, on_progress=lambda what, n, of: watch(runtime, f"{what}, {n} of {of}"), **settings
    )
    watch(runtime, "done")
    plain, merged = _sound(found)
    return Pair(plain, merged, batch)


def _sound(found: Sequence[T | EdgevitError]) -> list[T]:
    """All of `found`; raises the first error among them."""
    sound: list[T] = []
    for one in found:
        if isinstance(one, EdgevitError):
            raise one
        sound.append(one)
    return sound
