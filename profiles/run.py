"""A Run: the raw seconds of one artifact on one machine, with everything needed to judge them.

Nothing is removed from the samples and nothing derived is stored: statistics are properties, so
that a better rule tomorrow can be applied to the runs of today. The file is versioned JSON, which
another machine (a phone) may write as well.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from edgevit.errors import ArtifactError, InputError
from edgevit.staging import write_text

SCHEMA = 1
INT8 = ("int8", "w8a8")  # how a precision begins whose products are of 8 bits both


@dataclass(frozen=True)
class Context:
    """What a number depends on. `LIKE` names the fields in which comparable runs must agree."""

    device: str  # the hardware's own name, or the user's name for it
    host: str  # which unit of it: two phones of one model can be 40 % apart
    os: str
    cpu: str
    family: str  # family/model/stepping, since virtual machines hide the model name
    flags: tuple[str, ...]  # only those that decide which kernels a runtime takes
    cores: int  # that this process may use
    threads: int
    runtime: str
    runtime_version: str
    artifact: str  # file name
    sha256: str
    precision: str
    placement: str  # e.g. "1 partition + 87 ops"
    edgevit: str = ""
    python: str = ""
    numpy: str = ""


LIKE = ("device", "host", "os", "cpu", "family", "flags", "cores", "threads")


@dataclass(frozen=True)
class Run:
    """Seconds of one artifact: `rounds_s[r]` are the samples of round r, in the order taken."""

    name: str
    context: Context
    rounds_s: tuple[tuple[float, ...], ...]
    warmups_s: tuple[float, ...]
    load_s: float  # opening the file, with the runtime imported and the file in the page cache
    first_run_s: float  # the first inference after that
    peak_memory_bytes: int  # resident growth since before the load: weights, activations, scratch
    cores_used: float  # CPU seconds over wall seconds in the timed blocks
    macs: int | None = None  # multiply-accumulates of one inference
    bracket_macs_per_s: tuple[float, ...] = ()  # machine peak before, amid and after, in order
    bracket_int8_macs_per_s: tuple[float, ...] = ()  # the same in int8; empty: not measured
    repeated_s: tuple[tuple[float, ...], ...] = ()  # blocks taken again: the machine's speed moved
    unsettled: tuple[int, ...] = ()  # rounds over which it moved each time
    control_s: tuple[tuple[float, ...], ...] = ()  # the same file in another process, interleaved
    # Of the machine before the first round and after each, `seconds` into it; see `host.state`.
    state: tuple[dict[str, Any], ...] = ()
    started: str = ""  # UTC time at which the interleaved session began; equal → paired rounds

    def __post_init__(self) -> None:
        if not self.rounds_s or not all(self.rounds_s):
            raise InputError(f"run {self.name!r} has no samples, or a round without any")
        if not all(math.isfinite(s) and s > 0 for block in self.rounds_s for s in block):
            raise InputError(f"run {self.name!r} has a sample that is not a positive time")

    @property
    def samples_s(self) -> np.ndarray:
        """All timed seconds, in the order taken."""
        return np.concatenate([np.asarray(block) for block in self.rounds_s])

    @property
    def median_s(self) -> float:
        """Median of all samples."""
        return float(np.median(self.samples_s))

    @property
    def p90_s(self) -> float:
        """90th percentile of all samples: MLPerf Mobile's single-stream figure."""
        return float(np.percentile(self.samples_s, 90))

    @property
    def spread_pct(self) -> float:
        """Interquartile range of all samples as a percentage of their median."""
        low, high = np.percentile(self.samples_s, (25, 75))
        return float(100 * (high - low) / self.median_s)

    @property
    def macs_per_s(self) -> float | None:
        return self.macs / self.median_s if self.macs else None

    @property
    def peak_of(self) -> str:
        """Whose peak the run is held against: "int8" where its kernels are, if measured; "fp32"."""
        is_int8 = self.context.precision.startswith(INT8) and self.bracket_int8_macs_per_s
        return "int8" if is_int8 else "fp32"

    @property
    def peak_macs_per_s(self) -> float | None:
        """The machine's peak in `peak_of`, as measured beside the run: the best of the bracket."""
        is_int8 = self.peak_of == "int8"
        bracket = self.bracket_int8_macs_per_s if is_int8 else self.bracket_macs_per_s
        return max(bracket, default=None)

    @property
    def fraction_of_peak(self) -> float | None:
        """`macs_per_s` over `peak_macs_per_s`; 8-bit kernels can rightly exceed 1 of fp32's."""
        rate, peak = self.macs_per_s, self.peak_macs_per_s
        return rate / peak if rate and peak else None

    def require_like(self, other: "Run") -> None:
        """InputError naming what differs, unless both ran on the same machine and threads."""
        pairs = ((key, getattr(self.context, key), getattr(other.context, key)) for key in LIKE)
        unlike = [f"{key} ({_show(key, a, b)})" for key, a, b in pairs if a != b]
        if unlike:
            raise InputError(
                f"{self.name!r} and {other.name!r} cannot be compared, they differ in "
                f"{', '.join(unlike)}; profile both in one session"
            )

    def save(self, place: Path, *, prefix: str = "") -> Path:
        """Write to `place`, a .json file, or under a name of its own in the folder `place`."""
        file = place
        if place.suffix != ".json":
            c = self.context
            file = place / f"{prefix}{c.artifact}-{c.sha256[:8] or 'unknown'}-{c.threads}t.json"
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, allow_nan=False, indent=1)
        write_text(file, text + "\n")
        return file

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read what `save` wrote; ArtifactError when it is something else."""
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except OSError as e:
            raise InputError(f"cannot read the run {file}: {e.strerror}") from None
        except ValueError as e:
            raise ArtifactError(f"{file} is not a run: no JSON ({e})") from None
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != SCHEMA:
            raise ArtifactError(
                f"{file} is not a run this edgevit reads: schema {schema!r}, expected {SCHEMA}"
            )
        try:
            # What has a default may be missing: earlier versions did not know it.
            values = {
                f.name: _frozen(data[f.name])
                for f in fields(cls)
                if f.name in data or f.default is MISSING
            }
            context = {f.name: _frozen(data["context"][f.name]) for f in fields(Context)}
            return cls(**{**values, "context": Context(**context)})
        except (KeyError, TypeError) as e:
            raise ArtifactError(f"{file} is not a complete run: {e}") from None


def _show(key: str, a: Any, b: Any) -> str:
    if key == "flags":  # only the flags that one of them lacks
        return " ".join(sorted(set(a) ^ set(b)))
    return f"{a} / {b}"


def _frozen(value: Any) -> Any:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(_frozen(v) for v in value) if is_list else value
