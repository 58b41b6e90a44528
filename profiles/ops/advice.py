"""What to do about the operators that take the time, each rule with its evidence.

A rule is a function of the profile that yields Advice; shares are of a whole inference. A
rewrite is named where it exists, with what the file's card says of it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod

from edgevit.converters.explain import cost
from edgevit.converters.rewrites.choice import Costs

from .profile import OpProfile, Row

# Shares below these are not worth a line; fractions of the peak that call for one.
OUTSIDE, DEPTHWISE, PRODUCTS, MOVES, BETWEEN = 0.03, 0.05, 0.1, 0.1, 0.1
LOW, HIGH = 0.3, 0.6
DISTURBED = 0.1  # of the latency: what profiler and neighbours may add before it is doubtful
# Parts of words, in small letters, for what moves numbers and computes none.
MOVING = ("transpose", "permute", "reshape", "reorder", "copy", "concat", "slice", "split", "pad")


@dataclass(frozen=True)
class Advice:
    share: float
    said: str


def advice(profile: OpProfile) -> list[Advice]:
    """All that the rules find, by falling share."""
    found = [one for rule in RULES for one in rule(profile)]
    return sorted(found, key=lambda one: -one.share)


def doubts(profile: OpProfile) -> list[str]:
    """Why the numbers may not hold."""
    found = []
    latency, parts = profile.latency_s, profile.accounted_s
    if latency > parts * (1 + DISTURBED):
        found.append(
            f"an inference takes {latency * 1e3:.4g} ms, its parts {parts * 1e3:.4g} ms: others "
            "use the machine; stop other work, or trust shares and not milliseconds"
        )
    if profile.profiled_s > latency * (1 + DISTURBED):
        found.append(
            f"with the profiler an inference takes {profile.profiled_s / latency - 1:.0%} longer: "
            "the times of small operators may be too long"
        )
    fast = max((profile.of_peak(row) or 0.0 for row in profile.grouped("kind")), default=0.0)
    if fast > 1 + DISTURBED:
        found.append(
            f"operators run at up to {fast:.0%} of the peak: 8-bit kernels may, otherwise the "
            "machine was busy while the peak was measured"
        )
    return found


def outside_the_delegate(profile: OpProfile) -> Iterator[Advice]:
    """Operators for which explain knows a cure; reasons are read from the delegates' sources."""
    for row in profile.grouped("kind"):
        share = profile.share(row)
        if row.outside and share >= OUTSIDE:
            cures = " or ".join(f"`{c}`" for c in row.cures)
            cured = f"rewrite {cures} {_state(profile, row)}" if cures else "no rewrite is known"
            reason = f" ({row.reason})" if row.reason else ""
            yield Advice(share, f"{row.kind}, outside the delegate{reason}: {cured}")


def large_depthwise(profile: OpProfile) -> Iterator[Advice]:
    """XNNPACK's kernels end at 25 taps; what the rewrite gains was measured for each runtime."""
    large = _large(profile)
    share = profile.share(*large)
    if share >= DEPTHWISE:
        taps = max(_taps(r) for r in large)
        gain, *_ = Costs.of(profile.target).speed[RULE]
        state = _state(profile, *large, cures=(RULE,))
        yield Advice(
            share,
            f"depthwise convolutions of {taps} taps, for which XNNPACK has a slow kernel only: "
            f"rewrite `{RULE}`, measured {gain:.1f}× as fast, {state}",
        )


def products(profile: OpProfile) -> Iterator[Advice]:
    """Convolutions and products against the fp32 peak measured beside them."""
    rest = replace(profile, rows=tuple(r for r in profile.rows if r not in _large(profile)))
    for row in rest.grouped("kind"):
        share, fraction = profile.share(row), profile.of_peak(row)
        if share < PRODUCTS or fraction is None or row.outside:
            continue
        said = f"{row.kind} runs at {fraction:.0%} of peak"
        per_mac = row.size_bytes / row.macs
        if per_mac > cost.BYTES_PER_S / cost.MACS_PER_S and fraction < HIGH:
            yield Advice(share, f"{said}: memory-bound, {per_mac:.1f} bytes per MAC")
        elif fraction < LOW:
            yield Advice(
                share, f"{said}, with {1 / per_mac:.0f} MACs per byte: its shapes suit no kernel"
            )
        elif HIGH <= fraction <= 1 + DISTURBED:  # above, the peak is in doubt
            yield Advice(share, f"{said}: only fewer MACs, or fewer bits, would make it faster")


def moves(profile: OpProfile) -> Iterator[Advice]:
    """Copies and changes of layout, inside the delegate or where there is none."""
    moving = [r for r in profile.rows if not r.outside and not r.macs and _moves(r.kind)]
    share = profile.share(*moving)
    if share >= MOVES:
        kinds = sorted({r.kind for r in moving}, key=lambda k: -_seconds(moving, k))
        if profile.applied:
            cured = "the rewrites have left these; a channels-first model has fewer"
        elif profile.applied is None:
            cured = "the file has no card to say whether rewrites were tried"
        else:
            cured = "the file was made without rewrites, which cancel such pairs"
        yield Advice(share, f"moving numbers, not computing ({', '.join(kinds[:3])}): {cured}")


def between(profile: OpProfile) -> Iterator[Advice]:
    """What no operator accounts for."""
    if profile.between_share >= BETWEEN:
        yield Advice(
            profile.between_share,
            f"in none of the {len(profile.rows)} operators: what the runtime does between them, "
            "and what their clock cuts off; fewer, larger operators would cost less",
        )


RULE = "depthwise_in_rows"
RULES: tuple[Callable[[OpProfile], Iterator[Advice]], ...] = (
    outside_the_delegate,
    large_depthwise,
    products,
    moves,
    between,
)


def _state(profile: OpProfile, *rows: Row, cures: tuple[str, ...] = ()) -> str:
    """What the card says of these rewrites: "was not applied", or why it was refused."""
    cures = cures or tuple(dict.fromkeys(c for row in rows for c in row.cures))
    if profile.applied is None:
        return "may help; the file has no card to say whether it was tried"
    modules = {row.module for row in rows}
    refusals = [(why, m in modules) for rule, m, why in profile.refused if rule in cures]
    refusals.sort(key=lambda r: not r[1])
    if refusals:
        return f"was refused: {refusals[0][0]}"
    if any(rule in profile.applied for rule in cures):
        return "was applied elsewhere, not here"
    return "is available and was not applied"


def _large(profile: OpProfile) -> list[Row]:
    """Depthwise convolutions that the rewrite would make faster in this runtime."""
    costs = Costs.of(profile.target)
    if RULE not in costs.speed or not costs.pays(RULE):
        return []
    return [r for r in profile.rows if _taps(r) > cost.TAPS]


def _taps(row: Row) -> int:
    """Of a depthwise convolution; 0 for others."""
    depthwise = row.kind.lower().startswith("depthwise")
    return round(row.macs / prod(row.shape)) if depthwise and row.shape else 0


def _moves(kind: str) -> bool:
    return any(word in kind.lower() for word in MOVING)


def _seconds(rows: Iterable[Row], kind: str) -> float:
    return sum(r.seconds for r in rows if r.kind == kind)
