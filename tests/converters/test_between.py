"""What gains little in 8 bits by itself is in them where both its neighbours are."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevit.converters.between import Operator, does_little, in_integers, nodes_in_integers
from edgevit.pipeline.convert import convert
from edgevit.pipeline.explain import explain
from edgevit.program import export
from edgevit.recipe import Recipe

GAINS = {"P": True, "f": False, "l": None}


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ("PlP", "PlP"),
        ("PllP", "PllP"),
        ("flP", "..P"),
        ("Plf", "P.."),
        ("PlflP", "P...P"),
        ("flPlPlf", "..PlP.."),
        ("ll", ".."),
    ],
)
def test_a_chain(chain, found):
    """P: a product; l: light; f: in fp32. Each reads what the one before it writes."""
    places = in_integers([Operator([i], [i + 1], GAINS[c]) for i, c in enumerate(chain)])
    assert "".join(c if i in places else "." for i, c in enumerate(chain)) == found


def test_one_neighbour_on_each_side_is_enough():
    """A gate's product reads one branch in 8 bits and one in fp32, and is read by both kinds."""
    operators = [
        Operator(["x"], ["a"], True),
        Operator(["a"], ["b"], False),
        Operator(["a", "b"], ["c"], None),
        Operator(["c"], ["d"], True),
        Operator(["c"], ["e"], False),
    ]
    assert in_integers(operators) == {0, 2, 3}


class Inverted(nn.Module):
    """A mobile block behind a picture's first convolution, a depthwise one and one of few channels.

    The narrow one has as few, but stands between others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.first = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.few = nn.Conv2d(16, 20, 1)
        self.wide = nn.Conv2d(20, 32, 1)
        self.spatial = nn.Conv2d(32, 32, 3, 2, 1, groups=32)
        self.narrow = nn.Conv2d(32, 16, 1)
        self.last = nn.Conv2d(16, 16, 3)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.few(self.first(self.stem(x))))  # two products in a row would be one
        y = F.relu(self.narrow(F.silu(self.spatial(F.silu(self.wide(y))))))
        return self.head(self.last(y).mean((2, 3)))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return Inverted().eval()


def test_nodes_of_a_program(net):
    module = export(net, [torch.zeros(1, 3, 32, 32)], name="net").exported.module()
    silus = [n for n in module.graph.nodes if n.target is torch.ops.aten.silu.default]
    little = [n for n in module.graph.nodes if does_little(n)]
    found = nodes_in_integers(module, lambda path: path == "stem")
    assert [n in found for n in little] == [False, False, True, True]
    assert len(silus) == 2
    assert {*silus} <= found
    spatial = little[2]
    assert not {spatial, *silus} & nodes_in_integers(module, lambda path: path in ("stem", "wide"))


@pytest.fixture(scope="module")
def files(net, tmp_path_factory):
    """The net in w8a8, of each target."""
    out = tmp_path_factory.mktemp("between")
    np.save(out / "x.npy", np.random.default_rng(0).normal(0, 1, (16, 3, 32, 32)))
    made = convert(
        Recipe("net", calibrate=str(out / "x.npy")),
        to=("executorch", "tflite", "onnx"),
        out=out / "files",
        precisions=["w8a8"],
        model=(net, [torch.zeros(1, 3, 32, 32)]),
    )
    assert not [o.error for o in made if o.error]
    return {o.job.target: o.artifact for o in made}


@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
@pytest.mark.parametrize("target", ["executorch", "tflite", "onnx"])
def test_what_does_little_is_in_8_bits_between_others_alone(files, target):
    """Numbers in 8 bits: of all convolutions behind the first three, and the head's.

    In ONNX zero points as well, fewer than the depthwise one of those has weights.
    """
    card = files[target].card
    more = card.artifact["bits"]["8"] - (20 * 32 + 32 * 9 + 32 * 16 + 16 * 9 * 16 + 16 * 10)
    assert 0 <= more < 16 * 9
    assert card.agreement.worst.snr_db > 25


@pytest.mark.needs("executorch", "litert_torch")
@pytest.mark.parametrize(("target", "op"), [("executorch", "Multiply"), ("tflite", "MUL")])
def test_a_silu_between_them_multiplies_bytes(files, target, op):
    products = [n for n in explain(files[target].path).nodes if n.op == op]
    assert len(products) == 2
    assert [n.size_bytes for n in products] == [3 * np.prod(n.shape) for n in products]


@pytest.mark.needs("onnxruntime")
def test_a_silu_between_them_multiplies_bytes_in_onnx_runtime(files):
    import onnx

    graph = onnx.load(files["onnx"].path).graph
    writer = {name: node.op_type for node in graph.node for name in node.output}
    products = [node for node in graph.node if node.op_type == "Mul"]
    assert len(products) == 2
    assert all({writer[x] for x in node.input} == {"DequantizeLinear"} for node in products)
