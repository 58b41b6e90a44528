"""Core ML's compute units, and which of a program's operators runs on which of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgevit.converters.coreml import UNITS, import_coremltools

BY_NUMBER = ("cpu", "gpu", "all", "ane")  # of MLComputeUnits, by the words of coreml.UNITS
DEVICES = ("Neural Engine", "GPU", "CPU")


@dataclass(frozen=True)
class Operator:
    """name: of its first output. cost: Core ML's estimate of its share, 0..1."""

    name: str
    kind: str
    preferred: str
    supported: tuple[str, ...] = ()
    cost: float = 0.0


def placement(units: str, preferred: Iterable[str]) -> str:
    """ "all: 200 on Neural Engine + 26 on CPU": what Core ML intends, for a Context."""
    counts = Counter(preferred)
    order = [device for device in DEVICES if device in counts]
    order += [device for device in counts if device not in DEVICES]
    return f"{units}: " + (" + ".join(f"{counts[d]} on {d}" for d in order) or "not told")


def planned(*, file: str, units: str) -> list[str]:
    """The device that Core ML prefers for each operator; called in a child, on a Mac."""
    ct = import_coremltools()
    chosen = ct.ComputeUnit[UNITS[units]]
    model = ct.models.MLModel(str(Path(file)), compute_units=chosen)
    return preferred(model.get_compiled_model_path(), units)


def preferred(compiled: str, units: str) -> list[str]:
    """Of a compiled model (.mlmodelc), by Core ML's compute plan."""
    ct = import_coremltools()
    from coremltools.models import compute_device as kinds
    from coremltools.models.compute_plan import MLComputePlan

    plan = MLComputePlan.load_from_path(compiled, ct.ComputeUnit[UNITS[units]])
    words = {
        kinds.MLNeuralEngineComputeDevice: "Neural Engine",
        kinds.MLGPUComputeDevice: "GPU",
        kinds.MLCPUComputeDevice: "CPU",
    }
    program = plan.model_structure.program
    usages = [
        plan.get_compute_device_usage_for_mlprogram_operation(operation)
        for function in (program.functions.values() if program else ())
        for operation in function.block.operations
    ]
    return [words[type(usage.preferred_compute_device)] for usage in usages if usage]
