"""Xcode's Core ML performance report: a .mlperf folder with report.json, or that file alone.

Apple documents what a report shows, not how the file is laid out. Read here is what files written
by Xcode hold (jsonVersion 1, deviceResultVersion 4); other keys are passed over:

    deviceInfo       modelName, osNameAndVersionWithoutBuildNumber, deviceID
    modelMetadata    fileName, without its suffix
    computeUnit      MLComputeUnits: 0 CPU, 1 CPU and GPU, 2 all, 3 CPU and Neural Engine
    deviceResults    predict, load, compile: samples in seconds; predict.startTime since 2001 (UTC)
                     perfRunConfig.predictionCount: predictions of one of its rounds
                     modelStructure.program._0.functions.NAME.block.operations: operatorName, and
                     of all but constants cost.weight (0..1), deviceUsage.preferred and .supported

The file also names the device's owner, its serial number and folders of the Mac: none is kept.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import InputError

from .apple import BY_NUMBER, Operator, placement
from .run import Context, Run

NEWEST = 1  # jsonVersion
_EPOCH = datetime(2001, 1, 1, tzinfo=UTC)  # of Apple's times


@dataclass(frozen=True)
class XcodeReport:
    """unit: which device, as a digest. units: of Core ML's compute units. rounds_s: predictions."""

    model: str
    device: str
    os: str
    unit: str
    units: str
    started: str
    rounds_s: tuple[tuple[float, ...], ...]
    load_s: tuple[float, ...]
    compile_s: tuple[float, ...]
    operators: tuple[Operator, ...]

    @property
    def placement(self) -> str:
        return placement(self.units, [op.preferred for op in self.operators])

    def run(self, artifact: str = "", *, sha256: str = "", precision: str = "unknown") -> Run:
        """As a Run, whose samples are Xcode's own, the cold first one among them.

        artifact: the file that was measured. What a report does not tell (cores, threads, memory)
        is 0, so that no run of ours passes for one of the same context.
        """
        context = Context(
            device=self.device,
            host=self.unit,
            os=self.os,
            cpu="",
            family="",
            flags=(),
            cores=0,
            threads=0,
            runtime="Core ML, by Xcode",
            runtime_version="",
            artifact=artifact or f"{self.model}.mlpackage",
            sha256=sha256,
            precision=precision,
            placement=self.placement,
        )
        return Run(
            name=context.artifact,
            context=context,
            rounds_s=self.rounds_s,
            warmups_s=(),
            load_s=float(np.median(self.load_s)) if self.load_s else 0.0,
            first_run_s=self.rounds_s[0][0],
            peak_memory_bytes=0,
            cores_used=0.0,
            started=self.started,
        )


def read(path: Path) -> XcodeReport:
    """The report at `path`; InputError saying what is missing where it is none."""
    file = path / "report.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise InputError(f"cannot read the report {file}: {e.strerror}") from None
    except ValueError as e:
        raise InputError(f"{file} is no Xcode performance report: no JSON ({e})") from None
    version = data.get("jsonVersion") if isinstance(data, dict) else None
    if version is None:
        raise InputError(f"{file} is no Xcode performance report: it has no jsonVersion")
    if version != NEWEST:
        raise InputError(
            f"{file} is a report of jsonVersion {version}; this edgevit reads {NEWEST}"
        )
    try:
        return _report(data)
    except KeyError as e:
        raise InputError(f"{file} is not a finished performance report: it lacks {e}") from None
    except (TypeError, ValueError, AttributeError, IndexError) as e:
        raise InputError(f"{file} is not a performance report as Xcode writes it: {e}") from None


def _report(data: Mapping[str, Any]) -> XcodeReport:
    device, results = data["deviceInfo"], data["deviceResults"]
    predictions = _samples(results["predict"])
    if not predictions:
        raise ValueError("it holds no samples of predictions")
    if data["computeUnit"] not in range(len(BY_NUMBER)):
        raise ValueError(f"computeUnit {data['computeUnit']} is none of Core ML's")
    asked = int(results.get("perfRunConfig", {}).get("predictionCount", 0))
    size = asked if asked and len(predictions) % asked == 0 else len(predictions)
    structure = results.get("modelStructure", {}).get("program", {}).get("_0", {})
    functions = structure.get("functions", {}).values()
    started = _EPOCH + timedelta(seconds=float(results["predict"].get("startTime", 0)))
    return XcodeReport(
        model=str(data["modelMetadata"]["fileName"]),
        device=str(device["modelName"]),
        os=str(device["osNameAndVersionWithoutBuildNumber"]),
        unit=hashlib.sha256(str(device.get("deviceID", "")).encode()).hexdigest()[:8],
        units=BY_NUMBER[data["computeUnit"]],
        started=started.isoformat(timespec="seconds"),
        rounds_s=tuple(predictions[i : i + size] for i in range(0, len(predictions), size)),
        load_s=_samples(results.get("load", {})),
        compile_s=_samples(results.get("compile", {})),
        operators=tuple(op for f in functions for op in _operators(f["block"])),
    )


def _samples(found: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(float(s) for s in found.get("samples", ()))


def _operators(block: Mapping[str, Any]) -> Iterator[Operator]:
    """Those that a device is chosen for, also of the blocks inside an operator."""
    for operation in block["operations"]:
        if "deviceUsage" in operation:
            usage = operation["deviceUsage"]
            yield Operator(
                name=next((str(out["name"]) for out in operation.get("outputs", ())), ""),
                kind=str(operation["operatorName"]).rpartition(".")[2],
                preferred=_device(usage["preferred"]),
                supported=tuple(sorted(_device(one) for one in usage.get("supported", ()))),
                cost=float(operation.get("cost", {}).get("weight", 0.0)),
            )
        for inner in operation.get("blocks", ()):
            yield from _operators(inner)


def _device(said: Mapping[str, Any]) -> str:
    (kind,) = said["deviceType"]
    return {"cpu": "CPU", "gpu": "GPU", "neuralEngine": "Neural Engine"}.get(kind, str(kind))
