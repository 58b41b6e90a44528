"""Weights in 8 and 4 bits outside of Core ML: stored so, in one partition, and near enough."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgevit.converters import onnx_weights
from edgevit.converters.card_in_words import in_words
from edgevit.converters.rewrites import AFTER_FP16, BEFORE_FP16
from edgevit.converters.rewrites.rule import rules
from edgevit.converters.target import find
from edgevit.errors import InputError
from edgevit.pipeline.convert import convert
from edgevit.recipe import Recipe

TARGETS = ("executorch", "tflite", "onnx")
FORMS = [(t, p) for t in TARGETS for p in ("w8", "w4") if p in find(t).executes]


class Mixed(nn.Module):
    """Convolutions large and small, and layers whose rows are multiples of 32 or are not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.point = nn.Conv2d(3, 32, 4, 4), nn.Conv2d(32, 96, 1)
        self.fc1, self.fc2 = nn.Linear(96, 144), nn.Linear(144, 96)
        self.head = nn.Linear(96, 50)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.point(self.stem(x).relu()).flatten(2).mT
        y = y + self.fc2(nn.functional.gelu(self.fc1(y)))
        return self.head(y.sum(1) / 64)  # a sum, which fp16 would have rewritten


def converted(net, to, precisions, out):
    model = net, [torch.zeros(1, 3, 32, 32)]
    return convert(Recipe("net"), to=to, precisions=precisions, out=out, model=model)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("weights") / "out"
    made = converted(Mixed().eval(), TARGETS, ("w8", "w4"), out)
    return {(o.job.target, o.job.recipe.precision): o for o in made}


@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
@pytest.mark.parametrize(("target", "precision"), FORMS)
def test_it_is_stored_smaller_and_agrees(files, target, precision):
    assert not files[target, precision].error
    card = files[target, precision].artifact.card
    low, high = (38, 60) if precision == "w8" else (18, 38)
    assert low < card.agreement.worst.snr_db < high
    bits = card.artifact["bits"]
    in_four = {"w8": 0, "w4": 96 * 144 + 50 * 96}[precision]  # multiples of 32; ONNX pads the other
    assert bits.get("4", 0) >= in_four
    assert bool(bits.get("4")) == bool(in_four)
    assert bits["8"] + bits.get("4", 0) > 144 * 96 * 2
    assert in_words(card)["stored"].endswith("bits")
    assert (
        card.artifact["bytes"] < {"w8": 0.45, "w4": 0.5}[precision] * 4 * card.model["parameters"]
    )
    assert not {r.name for r in rules([BEFORE_FP16, AFTER_FP16])} & set(card.rewrites["applied"])
    if target != "onnx":
        assert str(card.placement) == "1 partition"


@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
def test_what_xnnpack_has_no_kernel_for_is_refused(files):
    said = str(files["executorch", "w8"].error)
    assert said == "executorch has no w8; it has fp32, dyn8, w8a8, w4, fp16"


@pytest.mark.needs("onnxruntime")
def test_a_file_of_few_bits_that_has_none_is_refused(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 64, 4, 4), nn.ReLU(), nn.Conv2d(64, 64, 1)).eval()
    (outcome,) = converted(net, ["onnx"], ["dyn8"], tmp_path / "out")
    assert isinstance(outcome.error, InputError)
    assert "dyn8 leaves all 7,2" in str(outcome.error)


@pytest.mark.needs("onnxruntime")
@pytest.mark.parametrize("bits", [8, 4])
def test_every_product_of_onnx_keeps_its_meaning(tmp_path, bits):
    """Each computes what it would with the weights that are nearest: Gemm both ways, and padded."""
    rng = np.random.default_rng(0)
    weights = {
        "conv": rng.normal(1, 1, (64, 8, 3, 3)),
        "up": rng.normal(0, 1, (32, 32, 2, 2)),
        "tall": rng.normal(0, 1, (40, 80)),  # 40 is no multiple of 32
        "wide": rng.normal(-1, 1, (80, 40)),
        "bias": rng.normal(0, 1, 80),
    }
    nodes = [
        helper.make_node("Conv", ["a", "conv"], ["0"]),
        helper.make_node("ConvTranspose", ["b", "up"], ["1"]),
        helper.make_node("MatMul", ["c", "tall"], ["2"]),
        helper.make_node("Gemm", ["c", "tall", "bias"], ["3"]),
        helper.make_node("Gemm", ["c", "wide", "bias"], ["4"], transB=1),
    ]
    shapes = {"a": (1, 8, 6, 6), "b": (1, 32, 4, 4), "c": (5, 40)}
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in shapes.items()],
        [helper.make_tensor_value_info(str(i), TensorProto.FLOAT, None) for i in range(5)],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    file = tmp_path / "products.onnx"
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), file)
    fed = {k: rng.normal(0, 1, s).astype(np.float32) for k, s in shapes.items()}

    def run():
        return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, fed)

    plain = run()
    onnx_weights.store(file, bits=bits)
    left = {i.name for i in onnx.load(file).graph.initializer} & set(weights)
    assert left == {"bias"}
    for i, (true, found) in enumerate(zip(plain, run(), strict=True)):
        step = 10 / (15 if bits == 4 and i > 1 else 255)  # of ten standard deviations
        assert 0 < np.square(found - true).mean() < np.square(step) / 12 * 128  # 40, 72, 128 terms


def test_levels_keep_zero_and_are_near():
    rows = np.array([[0, 0.3, 1.5], [-2, 0, -1], [0, 0, 0], [4, 5, 6]], np.float32)
    found, step, zero = onnx_weights.levels(rows, 4)
    assert found.max() <= 15
    back = (found.astype(np.float32) - zero) * step
    assert (np.abs(back - rows) <= step / 2 * 1.001).all()
    assert (back[rows == 0] == 0).all()
