"""The measuring loop: interleaved rounds over artifacts, each in a child process of its own.

    load all ── warm up each ── round 1: B A C ── round 2: C B A ── ... ── anew, every ten rounds
                                └ a block: k inferences, k such that it lasts `block_s`

Whatever slows the machine for a while slows all artifacts of the rounds it lasts, so that ratios
of the same round stay right (google-benchmark saw 40 % less variance from interleaving). The order
is random, so that nobody always follows the same neighbour. All children keep to the same cores,
and between any two blocks the machine's own peak is taken for 20 ms: a block over which it moved is
marked and taken again. The first artifact runs twice, as one more that ought to be no faster: the
A/A control. Nothing is discarded.

Two processes of one file differ by about 1 % for as long as they live (where their memory lies; who
loads first), which no number of rounds averages out: every ten rounds all start anew, in another
order.

With `minutes` the machine gets no rest, to see what heat does: blocks of half a second, one after
the other, in the same processes, and nothing but them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from itertools import count
from typing import Any

import numpy as np

from edgevit.errors import EdgevitError, InputError
from edgevit.sandbox import Callee, Child

from . import peak
from .devices import host
from .peak import Peak
from .run import Run
from .variant import Item, Machine, Variant

ROUNDS_OF_A_PROCESS = 10
SUSTAINED_S = 0.5  # of a block, at least
Probe = Callable[[int, tuple[int, ...]], AbstractContextManager[Peak]]


def start_child(timeout_s: float) -> Callee:
    return Child(timeout_s=timeout_s)


def profile(
    items: Sequence[Item],
    *,
    threads: int = 1,
    rounds: int = 30,
    warmup_s: float = 0.5,
    block_s: float = 0.02,
    seed: int = 0,
    timeout_s: float = 600.0,
    cooldown_s: float = 0.0,
    minutes: float = 0.0,
    device: str = "",
    control: bool = True,
    start: Callable[[float], Callee] = start_child,
    probe: Probe | None = peak.probe,
    describe: Callable[[], dict[str, Any]] = host.describe,
    state: Callable[[], dict[str, Any]] = host.state,
    cores_for: Callable[[int], tuple[int, ...]] = host.cores_for,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Run | EdgevitError]:
    """Measure `items` side by side; for each, in order, its Run or the error that ended it.

    threads: of each artifact's runtime. timeout_s: seconds one call to a child may take.
    cooldown_s: rest before each round. minutes: rounds go on for so long, in place of `rounds`.
    device: a name in place of the hardware's own. control: run the first once more, for an A/A
    comparison.
    start to cores_for: seams for tests and other machines; probe None skips the peak.
    on_progress: told what happens, and rounds done out of all.
    """
    if not items or threads < 1 or rounds < 1:
        raise InputError(
            f"nothing to measure: {len(items)} artifacts, {threads} threads, {rounds} rounds"
        )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    rng = np.random.default_rng(seed)
    cores = cores_for(threads)
    variants = [Variant(item) for item in (*items, *items[:control])]
    bracket: list[float] = []
    bracket_int8: list[float] = []
    begin = time.perf_counter()
    if minutes:
        probe, block_s = None, max(block_s, SUSTAINED_S)

    def seconds() -> float:
        return round(time.perf_counter() - begin, 2)

    def moment() -> dict[str, Any]:
        return {"seconds": seconds(), **state()}

    states = [moment()]
    with ExitStack() as stack:
        taken = stack.enter_context(probe(threads, cores)) if probe else None
        machine = Machine(taken.now if taken else None)
        for variant in variants:
            stack.callback(variant.close)
        for number in _numbers(rounds, minutes, seconds):
            if number % ROUNDS_OF_A_PROCESS == 0 and not (minutes and number):
                for i in rng.permutation(len(variants)):
                    on_progress(f"load {variants[i].item.label}", number, rounds)
                    variants[i].attempt(variants[i].open, lambda: start(timeout_s), threads, cores)
                for variant in variants:
                    on_progress(f"warm up {variant.item.label}", number, rounds)
                    variant.attempt(variant.warm_up, warmup_s, block_s)
                if taken and not bracket:
                    bracket.append(taken.best())
                    bracket_int8 += filter(None, [taken.int8()])
                if not number:
                    begin = time.perf_counter()
                    states = [moment()]
                machine.settled()  # the next block is held against the machine as it is now
            if all(variant.error for variant in variants):
                break
            if cooldown_s:
                time.sleep(cooldown_s)
                machine.settled()
            for i in rng.permutation(len(variants)):
                variants[i].attempt(variants[i].one_round, machine)
            states.append(moment())
            if minutes:
                on_progress("sustained, s", round(states[-1]["seconds"]), round(60 * minutes))
            else:
                on_progress("measure", number + 1, rounds)
        if taken:
            bracket.append(taken.best())
            bracket_int8 += filter(None, [taken.int8()])
    facts = {**describe(), **({"device": device} if device else {})}
    twin = variants[-1] if control and not variants[-1].error else None
    return [
        variant.error
        or variant.run(
            facts,
            threads,
            bracket_macs_per_s=tuple(bracket),
            bracket_int8_macs_per_s=tuple(bracket_int8),
            control_s=tuple(twin.rounds_s) if twin and variant is variants[0] else (),
            state=tuple(states),
            started=started,
        )
        for variant in variants[: len(items)]
    ]


def _numbers(rounds: int, minutes: float, seconds: Callable[[], float]) -> Iterator[int]:
    """Of rounds: so many, or as many as begin in so many minutes."""
    if not minutes:
        yield from range(rounds)
        return
    for number in count():
        if number and seconds() > 60 * minutes:
            return
        yield number
