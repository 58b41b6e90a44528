"""Core ML's w8a8: what each product reads and writes is in 8 bits, and the saved program agrees."""

import re

import numpy as np
import pytest
import torch
from mixed_net import Mixed
from torch import nn

from edgevit.converters.coreml_int8 import ranges
from edgevit.converters.mil.evaluate import Evaluator
from edgevit.converters.mil.package import read
from edgevit.converters.target import check_precision
from edgevit.errors import UnknownName
from edgevit.pipeline.convert import convert
from edgevit.program import export
from edgevit.recipe import Recipe

X = (1, 8, 16, 16)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Mixed(X[1]).eval()


@pytest.fixture(scope="module")
def made(net, tmp_path_factory):
    """From an iOS, and what is to stay, to what became of it."""
    out = tmp_path_factory.mktemp("coreml") / "out"
    inputs = out.with_name("x.npy")
    np.save(inputs, np.random.default_rng(0).normal(0, 1, (32, *X[1:])))

    def converted(*, ios=17, keep=()):
        (outcome,) = convert(
            Recipe("mixed", calibrate=str(inputs), ios=ios, keep=keep),
            to=["coreml"],
            out=out / f"{ios}-{len(keep)}",
            precisions=["w8a8"],
            model=(net, [torch.zeros(X)]),
        )
        return outcome

    return converted


@pytest.fixture(scope="module")
def plain(made):
    outcome = made()
    assert not outcome.error
    return outcome.artifact


def operations(artifact):
    """Those that compute, what computes each value, and its number format."""
    _, block, _ = read(artifact.path)
    by = {o.name: op for op in block.operations for o in op.outputs}
    return block, by, [op for op in block.operations if op.type in ("conv", "linear")]


def source(by, op, name):
    return by[op.inputs[name].arguments[0].name]


@pytest.mark.needs("coremltools")
def test_it_is_smaller_and_agrees(plain):
    card = plain.card
    assert 20 < card.agreement.worst.snr_db < 60, "an error of 8 bits, neither more nor less"
    assert card.artifact["bytes"] < 4 * card.model["parameters"]
    assert card.artifact["bits"]["8"] > 10_000 > 1_000 > card.artifact["bits"]["16"]
    assert re.search("Neural Engine, most from A17 Pro and M4 on", card.executes)


@pytest.mark.needs("coremltools")
def test_products_read_and_write_8_bits(plain):
    block, by, products = operations(plain)
    assert len(products) == 5
    for op in products:
        assert source(by, op, "x").type == "dequantize"
        assert source(by, op, "weight").type == "constexpr_affine_dequantize"
    quantized = [op for op in block.operations if op.type == "quantize"]
    assert not any("zero_point" in op.inputs for op in quantized)
    kinds = [source(by, op, "input").type for op in quantized]
    assert "relu" in kinds, "clipped before it is rounded"
    assert "gelu" in kinds
    assert by[block.outputs[0]].type == "linear", "what leaves the model is not rounded"


@pytest.mark.needs("coremltools")
def test_what_is_never_negative_has_all_levels_above_zero(plain):
    block, by, _ = operations(plain)
    for op in block.operations:
        if op.type == "quantize":
            held = source(by, op, "output_dtype").attributes["val"].immediateValue.tensor.strings
            never = source(by, op, "input").type == "relu"
            assert held.values[0] == ("uint8" if never else "int8")


@pytest.mark.needs("coremltools")
def test_a_newer_ios_has_its_own_form_of_the_same(plain, made):
    newer = made(ios=18)
    assert not newer.error
    _, by, products = operations(newer.artifact)
    assert {source(by, op, "weight").type for op in products} == {"constexpr_blockwise_shift_scale"}
    x = np.random.default_rng(1).normal(0, 1, X).astype(np.float32)
    old, new = (Evaluator(a.path)(x)[0] for a in (plain, newer.artifact))
    assert np.abs(old - new).max() <= 2e-3 * np.abs(old).max()


@pytest.mark.needs("coremltools")
def test_what_is_kept_stays_in_half(plain, made):
    one = made(keep=("mlp",))
    assert not one.error
    _, by, products = operations(one.artifact)
    kept = [op for op in products if source(by, op, "weight").type == "const"]
    assert len(kept) == 2
    assert all(source(by, op, "x").type != "dequantize" for op in kept)
    before, after = (a.card.artifact["bits"] for a in (plain, one.artifact))
    assert 8000 < after["16"] - before["16"] < 2 * 128 * 32, "its scales are gone"
    none = made(keep=("", "stem", "mlp", "head"))
    assert re.search("leaves all .* as they are", str(none.error))


def test_what_core_ml_has_not_is_one_sentence():
    with pytest.raises(UnknownName, match="coreml has no dyn8; it has fp32, fp16, w8a8, w8, w6"):
        check_precision("coreml", "dyn8")


def test_ranges_are_from_least_to_largest_with_zero_among_them():
    program = export(nn.ReLU().eval(), [torch.zeros(1, 2)], name="relu")
    module = program.exported.module()
    (x,) = module.graph.find_nodes(op="placeholder")
    (relu,) = module.graph.find_nodes(op="call_function", target=torch.ops.aten.relu.default)
    rows = [(np.array([[3, 4]], np.float32),), (np.array([[-1, 2]], np.float32),)]
    assert ranges(module, [x, relu], rows) == {x: (-1, 4), relu: (0, 4)}
    assert ranges(module, [x], rows[:1]) == {x: (0, 4)}
