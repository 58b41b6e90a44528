"""Core ML, as an ML Program: `.mlpackage`, written anywhere.

macOS runs it. Elsewhere the evaluator of mil/ computes what the saved package says, which proves
its weights and operators, not what Apple's compiler makes of them.
"""

import json
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgevit.errors import InputError
from edgevit.recipe import SMALL

from . import coreml_scales
from .coreml_weights import compress
from .grid import UINT8, Stored
from .rewrites import NATIVE
from .target import Array, Loaded, Placement, Tensor, require

if TYPE_CHECKING:
    from edgevit.program import Program

_UNUSED = ["executorch", "sklearn", "tensorflow", "transformers", "xgboost"]
_UNUSED += ["torchao", "torchaudio", "torchvision"]
_DATE = "com.github.apple.coremltools.conversion_date"
# iOS whose programs hold the form.
OLDEST = {"w8a8": 17, "w8": 16, "w6": 16, "w4": 18, "w4-sparse": 18}
# What it may compute on, by our words for it. The CPU's numbers do not depend on the device.
UNITS = {"cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "all": "ALL", "ane": "CPU_AND_NE"}
_EVALUATED = "" if sys.platform == "darwin" else "; evaluated from the saved program, not on a Mac"


class CoreML:
    suffix = ".mlpackage"
    runtime = "coremltools"
    needs = ("coremltools",)
    rewrites = NATIVE
    runs_on_torch = True
    runs_here = sys.platform == "darwin"
    executes: ClassVar[dict[str, str]] = {
        "fp32": "declared fp32: CPU and GPU only, the Neural Engine computes in fp16" + _EVALUATED,
        "fp16": "declared fp16 weights and activations, fp32 inputs and outputs" + _EVALUATED,
        "w8a8": "int8 weights, a scale for each channel, and 8-bit activations over calibrated "
        "ranges in convolutions and linear layers, fp16 in all else; by Apple a gain on the Neural "
        "Engine, most from A17 Pro and M4 on, and a loss on CPU and GPU" + _EVALUATED,
        "w8": "int8 weights, one scale and zero point a channel; fp16 activations" + _EVALUATED,
        "w6": "weights from palettes of 64, one a tensor; fp16 activations" + _EVALUATED,
        "w4": "weights from palettes of 16, one for 4 channels; fp16 activations" + _EVALUATED,
        "w4-sparse": "half of the weights zero, the others as w4; fp16 activations" + _EVALUATED,
    }
    in_half = ("fp16", *OLDEST)
    grids: ClassVar[dict[str, Stored]] = {
        "w8": Stored(linear=UINT8, conv=UINT8, depthwise=UINT8, above=SMALL)
    }

    def __init__(self, units: str = "cpu") -> None:
        self._units = UNITS[units]

    def lower(self, program: "Program", file: Path, *, precision: str, ios: int) -> None:
        require("coreml", self.needs)
        refuse_older(precision, ios)
        ct = import_coremltools()
        _register_channel_norm()
        coreml_scales.register()
        half = precision in self.in_half
        exported = program.exported
        if precision == "w8a8":
            from . import coreml_int8

            exported = coreml_int8.quantized(exported, program)
        model = ct.convert(
            exported.run_decompositions({}),
            minimum_deployment_target=getattr(ct.target, f"iOS{ios}"),
            compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
            outputs=[ct.TensorType(name=p.name) for p in program.facts.outputs],
            skip_model_load=True,
        )
        if precision in OLDEST and precision != "w8a8":
            model = compress(model, precision)
        model.save(str(file))
        _make_deterministic(file)

    def load(self, file: Path, *, threads: int = 1) -> Loaded:
        require("coreml", self.needs)
        if self.runs_here:
            return LoadedPackage(file, self._units)
        return self.evaluate(file, threads=threads)

    def evaluate(self, file: Path, *, threads: int = 1) -> Loaded:
        """What the saved program says, computed without Core ML; on a Mac, to hold it against."""
        import torch

        from .mil.evaluate import Evaluator

        torch.set_num_threads(threads)
        return Evaluator(file)

    def placement(self, file: Path) -> Placement | None:
        """The operators, all of them: what runs where, only the device's system knows."""
        from .mil.package import read

        _, block, _ = read(file)
        ops = Counter(op.type for op in block.operations)
        constants = [op for op in ops if op == "const" or op.startswith("constexpr_")]
        return Placement(None, 0, {op: n for op, n in ops.most_common() if op not in constants})


def refuse_older(precision: str, ios: int) -> None:
    """InputError for a form that programs of this iOS do not hold."""
    oldest = OLDEST.get(precision, 0)
    if ios < oldest:
        raise InputError(f"{precision} needs iOS {oldest}; convert with --ios {oldest}")


class LoadedPackage:
    """An .mlpackage in Core ML, on some of its compute units."""

    def __init__(self, file: Path, units: str) -> None:
        import coremltools as ct

        self._model = ct.models.MLModel(str(file), compute_units=ct.ComputeUnit[units])
        description = self._model.get_spec().description
        self.inputs = tuple(
            Tensor(i.name, "float32", tuple(i.type.multiArrayType.shape)) for i in description.input
        )
        self._outputs = [o.name for o in description.output]

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        names = [i.name for i in self.inputs]
        found = self._model.predict(dict(zip(names, arrays, strict=True)))
        return tuple(found[name] for name in self._outputs)


def import_coremltools() -> Any:
    """Import it without the frameworks that it looks for and we do not convert from: half the time.

    coremltools 9.0 takes a name that cannot be imported for one that is not installed.
    """
    hidden = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        import coremltools
    finally:
        for name in hidden:
            del sys.modules[name]
    return coremltools


def _register_channel_norm() -> None:
    """Tell coremltools what the rewrites' norm over axis 1 is; once in a process."""
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.frontend.torch.ops import _get_inputs
    from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op

    def convert(context: Any, node: Any) -> None:
        x, gamma, beta, eps = _get_inputs(context, node, expected=4)
        given = {"gamma": gamma, "beta": beta, "epsilon": eps}
        given = {k: v for k, v in given.items() if v is not None}
        context.add(mb.layer_norm(x=x, axes=[1], name=node.name, **given))

    register_torch_op(
        convert, torch_alias=["edgevit::channel_norm", "edgevit.channel_norm"], override=True
    )


def _make_deterministic(package: Path) -> None:
    """Write the package again without what differs from run to run.

    coremltools 9.0 serialises maps in any order, stamps the date, draws random identifiers, and
    leaves a debug file beside the manifest.
    """
    from .mil.protobuf import classes

    for file in package.rglob("*.mlmodel"):
        spec = classes().Model_pb2.Model()
        spec.ParseFromString(file.read_bytes())
        spec.description.metadata.userDefined.pop(_DATE, None)
        file.write_bytes(spec.SerializeToString(deterministic=True))
    for file in package.glob("executorch_debug_handle_mapping.json"):
        file.unlink()
    manifest = package / "Manifest.json"
    data = json.loads(manifest.read_text())
    renamed = {
        old: str(uuid.uuid5(uuid.NAMESPACE_URL, entry["path"])).upper()
        for old, entry in data["itemInfoEntries"].items()
    }
    data["itemInfoEntries"] = {renamed[k]: v for k, v in data["itemInfoEntries"].items()}
    data["rootModelIdentifier"] = renamed[data["rootModelIdentifier"]]
    manifest.write_text(json.dumps(data, indent=4, sort_keys=True))


target = CoreML
