"""An OpProfile: seconds of each operator of a file, beside those of the file without a profiler.

    latency_s     ├── rows, in order of execution ──┤── between_s ──┤
    profiled_s    ├── the same, in turns with it ───┤── and the profiler's own cost ──┤

Shares are of all rows and `between_s`, and add up to one. Where others use the machine, latency_s
is more than these: what interrupts an inference now and then is in the median of none of its parts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

CLOCK_S = 1e-6  # of all these profilers: they cut off what is less


@dataclass(frozen=True)
class Row:
    """One operator as the runtime runs it, or several that it cannot tell apart.

    kind: the file's word for it; kernel: the runtime's. shape: of its result; module: path in the
    user's model; both empty for what only the runtime knows of. seconds: median over the runs.
    size_bytes: of all it reads and writes, weights included. timings: how many were added up.
    outside: whether it runs outside the delegate; reason, cures: see explain's Node.
    """

    kind: str
    kernel: str
    shape: tuple[int, ...]
    module: str
    seconds: float
    macs: float = 0.0
    size_bytes: int = 0
    timings: int = 1
    outside: bool = False
    reason: str = ""
    cures: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """Of `asdict`, as it comes out of JSON."""
        return cls(**d | {"shape": tuple(d["shape"]), "cures": tuple(d["cures"])})

    @property
    def macs_per_s(self) -> float | None:
        """None where there are none, or the clock is too coarse to tell."""
        return self.macs / self.seconds if self.macs and self._told_by_the_clock else None

    @property
    def bytes_per_s(self) -> float | None:
        return self.size_bytes / self.seconds if self._told_by_the_clock else None

    @property
    def _told_by_the_clock(self) -> bool:
        return self.seconds >= 10 * CLOCK_S * self.timings


@dataclass(frozen=True)
class OpProfile:
    """latency_s, profiled_s: medians of whole inferences without and with the profiler.

    between_s: what an inference spends in no operator, without the profiler's own cost.
    rows: in order of execution. peak_macs_per_s: the machine's, fp32, measured beside it. clock:
    whose, how fine, and what it does not tell. applied, refused: rewrites by the file's card, None
    where there is no card; refused holds (rule, module, why).
    """

    file: str
    target: str
    runtime: str
    threads: int
    runs: int
    latency_s: float
    profiled_s: float
    between_s: float
    rows: tuple[Row, ...]
    peak_macs_per_s: float
    clock: str
    applied: dict[str, int] | None = None
    refused: tuple[tuple[str, str, str], ...] = ()

    @property
    def ops_s(self) -> float:
        return sum(row.seconds for row in self.rows)

    @property
    def accounted_s(self) -> float:
        return self.ops_s + self.between_s

    def share(self, *rows: Row) -> float:
        """Part of an inference, 0 to 1."""
        return sum(row.seconds for row in rows) / (self.accounted_s or 1.0)

    @property
    def between_share(self) -> float:
        return self.between_s / (self.accounted_s or 1.0)

    def of_peak(self, row: Row) -> float | None:
        """Fraction of the fp32 peak; 8-bit kernels can rightly exceed 1."""
        rate = row.macs_per_s
        return rate / self.peak_macs_per_s if rate else None

    def grouped(self, by: str) -> list[Row]:
        """Rows by falling time: each ("op"), or their sums over a module or a kind."""
        if by == "op":
            return sorted(self.rows, key=lambda row: -row.seconds)
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(getattr(row, by), []).append(row)
        sums = [_sum(rows) for rows in groups.values()]
        return sorted(sums, key=lambda row: -row.seconds)

    def as_dict(self) -> dict[str, Any]:
        """For machines: ms, GMAC/s, GB/s (10⁹), shares and fractions 0 to 1; None: not known.

        Operators by falling time.
        """

        def row(r: Row) -> dict[str, Any]:
            macs_per_s, bytes_per_s = r.macs_per_s, r.bytes_per_s
            return {
                "kind": r.kind,
                "kernel": r.kernel,
                "shape": list(r.shape),
                "module": r.module or None,
                "ms": r.seconds * 1e3,
                "share": self.share(r),
                "macs": r.macs,
                "bytes": r.size_bytes,
                "gmacs_per_s": macs_per_s and macs_per_s / 1e9,
                "of_peak": self.of_peak(r),
                "gb_per_s": bytes_per_s and bytes_per_s / 1e9,
                "outside": r.outside,
                "cures": list(r.cures),
            }

        return {
            "artifact": self.file,
            "target": self.target,
            "runtime": self.runtime,
            "threads": self.threads,
            "runs": self.runs,
            "latency_ms": self.latency_s * 1e3,
            "profiled_ms": self.profiled_s * 1e3,
            "between_ms": self.between_s * 1e3,
            "between_share": self.between_share,
            "peak_gmacs_per_s": self.peak_macs_per_s / 1e9,
            "clock": self.clock,
            "ops": [row(r) for r in self.grouped("op")],
        }


def _sum(rows: Iterable[Row]) -> Row:
    """Of rows that belong together; its words are those of the slowest."""
    rows = sorted(rows, key=lambda row: -row.seconds)
    first = rows[0]
    return Row(
        kind=first.kind,
        kernel=first.kernel,
        shape=first.shape,
        module=first.module,
        seconds=sum(r.seconds for r in rows),
        macs=sum(r.macs for r in rows),
        size_bytes=sum(r.size_bytes for r in rows),
        timings=sum(r.timings for r in rows),
        outside=any(r.outside for r in rows),
        reason=first.reason,
        cures=first.cures,
    )
