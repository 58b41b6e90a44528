"""A program in 8-bit integers for ExecuTorch, w8a8: XNNPACK's quantizer on what gains by it.

Convolutions and linear layers, over calibrated ranges, and what is between them (between.py). All
else stays in fp32: norms cost digits and gain nothing, sums of 8-bit numbers cost some too, and
GELU and softmax have no 8-bit kernel. Nor is a weight touched that is the graph's and not the
model's, as the 1/C of a norm.
"""

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgevit import calibration

from .between import MUL, nodes_in_integers
from .rewrites.graph import argument, aten, module_path
from .simulate import CONV, LINEAR

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

    from edgevit.program import Program

CLAMPS = (aten.relu.default, aten.hardtanh.default, aten.hardtanh_.default)


def quantized(exported: "ExportedProgram", program: "Program") -> "ExportedProgram":
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e import MinMaxObserver
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    module: Any = exported.module()
    config = get_symmetric_quantization_config(is_per_channel=True)
    # Ranges from least to largest, as the other targets take them; not histograms.
    least_to_most = MinMaxObserver.with_args(eps=2**-12)
    spec = replace(config.input_activation, observer_or_fake_quant_ctr=least_to_most)
    config = replace(config, input_activation=spec, output_activation=spec)
    found, products = nodes_in_integers(module, program.kept), (LINEAR, CONV, MUL)
    # It is asked for the weights and activations of products, too.
    quantizer = XNNPACKQuantizer().set_filter_function(
        lambda node: node in found or node.target not in products
    )
    for target in products:
        quantizer.set_operator_type(target, config)
    prepared = prepare_pt2e(module, quantizer)
    assert program.calibration
    with torch.no_grad():
        for row in calibration.load(program.calibration):
            prepared(*map(torch.from_numpy, row))
    _narrow(prepared, program)
    converted = convert_pt2e(prepared)
    _dequantize_for_each(converted.graph)
    return torch.export.export(converted, program.inputs)


def _dequantize_for_each(graph: Any) -> None:
    """An operator between dequantize and quantize gets its own copy of what it reads.

    XNNPACK's partitioner takes it with its neighbours as one; a dequantize that serves others as
    well, from which a path leads back to it, would then wait for itself (FastViT's residuals around
    a depthwise convolution in fp32).
    """
    import torch

    pairs = torch.ops.quantized_decomposed
    quantize, dequantize = pairs.quantize_per_tensor.default, pairs.dequantize_per_tensor.default
    for node in [*graph.nodes]:
        if node.target is not dequantize or len(node.users) < 2:
            continue
        for user in [*node.users]:
            if user.users and all(u.target is quantize for u in user.users):
                with graph.inserting_before(user):
                    copy = graph.node_copy(node)
                user.replace_input_with(node, copy)


def _narrow(prepared: Any, program: "Program") -> None:
    """Clip what modules read and write, as the program says, and to what clamps let through.

    What clamps, moves values or pools has one range with what it reads (PT2E's observers are
    shared): clipped as a pool's answers may be, the map would lose its peaks.
    """
    tensors = _observed(prepared)
    for observer, seen in tensors.items():
        clamps = [n for n in seen if n.target in CLAMPS]
        if clamps and all(
            n in clamps or _only_clamped(n) or set() < _sources(n) <= {*seen} for n in seen
        ):
            limits = [_limits(n) for n in clamps]
            _clip(observer, min(low for low, _ in limits), max(high for _, high in limits))
    for node in prepared.graph.nodes:
        for written in (False, True):
            found = program.ranges.get((module_path(node), written))
            if not found or node.target not in (CONV, LINEAR):
                continue
            for place in node.users if written else node.args[:1]:
                if place.op != "call_module":
                    continue
                observer, tensor = prepared.get_submodule(place.target), place.args[0]
                others = [n for n in tensors[observer] if n is not tensor]
                if all(_only_clamped(n) and tensor.target in CLAMPS for n in others):
                    _clip(observer, found.low, found.high)


def _observed(prepared: Any) -> dict[Any, list[Any]]:
    """The tensors of which each observer takes the range."""
    found = defaultdict(list)
    for node in prepared.graph.nodes:
        if node.op == "call_module":
            found[prepared.get_submodule(node.target)].append(node.args[0])
    return found


def _only_clamped(node: Any) -> bool:
    """Whether nothing but a clamp reads it, past observers."""
    readers = [r for n in node.users for r in (n.users if n.op == "call_module" else [n])]
    return bool(readers) and all(r.target in CLAMPS for r in readers)


def _sources(node: Any) -> set[Any]:
    """The activations that an operator reads, past observers; a product's are none of its own."""
    if node.target in (CONV, LINEAR):
        return set()
    return {n.args[0] if n.op == "call_module" else n for n in node.all_input_nodes}


def _limits(clamp: "Node") -> tuple[float, float]:
    low, high = argument(clamp, "min_val", 0.0), argument(clamp, "max_val", math.inf)
    return float(low), float(high)


def _clip(observer: Any, low: float, high: float) -> None:
    observer.min_val.clamp_(min=low)
    observer.max_val.clamp_(max=high)
