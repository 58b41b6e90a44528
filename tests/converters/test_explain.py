"""What `explain` reads from files that nobody's card describes, and the data it speaks from."""

import ast
import json
from dataclasses import asdict, replace
from pathlib import Path

import made_by_hand
import pytest

from edgevit.converters.explain import cost, reasons
from edgevit.converters.explain.explanation import Explanation, Node
from edgevit.converters.explain.onnx import module_path as onnx_path
from edgevit.converters.explain.picture import page
from edgevit.converters.explain.tflite import _partitions
from edgevit.converters.explain.tflite import module_path as tflite_path
from edgevit.converters.refusals import EXECUTORCH, explained
from edgevit.errors import ArtifactError
from edgevit.pipeline.explain import explain

TABLES = (reasons.EXECUTORCH_CURES, reasons.TFLITE_CURES)


def rules(folder: Path) -> set[str]:
    """Functions below an @rule, read without importing torch."""
    found = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                calls = [d.func for d in node.decorator_list if isinstance(d, ast.Call)]
                if any(isinstance(c, ast.Name) and c.id == "rule" for c in calls):
                    found.add(node.name)
    return found


def test_every_cure_is_a_rule_that_exists(root):
    known = rules(root / "converters" / "rewrites")
    named = {cure for table in TABLES for cures in table.values() for cure in cures}
    assert known
    assert not named - known


def test_what_the_delegate_takes_is_not_what_it_lacks():
    assert not set(reasons.TFLITE) & reasons.TFLITE_TAKES
    assert reasons.TFLITE_FLOAT_ONLY <= reasons.TFLITE_TAKES
    assert set(reasons.TFLITE_CURES) <= set(reasons.TFLITE) | reasons.TFLITE_TAKES


@pytest.mark.parametrize(
    ("op", "odd", "rank", "words"),
    [
        ("native_layer_norm", None, 3, "no LayerNorm"),
        ("mul.Scalar", None, 4, "a tensor and a number"),
        ("mul.Tensor", "long", 4, "touches long tensors"),
        ("mul.Tensor", None, 7, "7 axes"),
        ("mul.Tensor", None, 4, "has mul, but not in this form"),
        ("eq.Scalar", "bool", 4, "masked rows"),
        ("_to_dim_order_copy", "long", 1, "constant of integers"),
        ("roll_copy", None, 4, "has no roll"),
    ],
)
def test_reasons_of_executorch(op, odd, rank, words):
    assert words in reasons.executorch_reason(op, odd_dtype=odd, rank=rank)


@pytest.mark.parametrize(
    ("op", "dtype", "rank", "parts", "words"),
    [
        ("ADD", "FLOAT32", 4, 0, ""),
        ("TILE", "FLOAT32", 4, 0, "a copy"),
        ("WHILE", "FLOAT32", 4, 0, "no WHILE"),
        ("FULLY_CONNECTED", "FLOAT32", 8, 0, "8 axes"),
        ("ADD", "INT64", 4, 0, "INT64"),
        ("GELU", "INT8", 4, 0, "in float only"),
        ("CONCATENATION", "FLOAT32", 4, 6, "6 parts"),
        ("CONCATENATION", "FLOAT32", 4, 5, ""),
    ],
)
def test_reasons_of_tflite(op, dtype, rank, parts, words):
    said = reasons.tflite_reason(op, dtype=dtype, rank=rank, parts=parts)
    assert words in said
    assert bool(said) == bool(words)


def test_an_estimate_is_the_longer_of_work_and_traffic():
    assert cost.seconds(macs=cost.MACS_PER_S, size_bytes=8) == 1
    assert cost.seconds(macs=8, size_bytes=cost.BYTES_PER_S, factor=3) == 3
    assert cost.size_bytes([((2, 3), 4), ((), 8)]) == 32
    assert cost.depthwise_factor(25) == 1 < cost.depthwise_factor(49)


def node(op: str, partition: int | None = None, seconds: float = 1.0, reason: str = "") -> Node:
    return Node(op, (1, 2), "a.b", partition, seconds, reason, ("x_by_y",) if reason else ())


def test_shares_add_up_and_cross_a_process_border():
    nodes = (node("add", 0, 3), node("where", None, 1, "no <where>"), node("add", 1, 4))
    found = Explanation("m.pte", "executorch", "XNNPACK", nodes, "so.", ("one",))
    assert [(p.index, p.ops, p.share) for p in found.partitions] == [
        (0, {"add": 1}, 0.375),
        (1, {"add": 1}, 0.5),
    ]
    assert found.outside == nodes[1:2]
    assert found.summary == "2 partitions in XNNPACK, 1 operator outside, ≈ 12% of the time"
    assert Explanation.from_dict(json.loads(json.dumps(asdict(found)))) == found
    assert found.as_dict()["outside"][0]["cures"] == ["x_by_y"]
    drawn = page(found)
    assert "no &lt;where&gt;" in drawn
    assert "<script" not in drawn
    assert drawn.count('class="in"') == 2
    assert drawn.index("partition 0") < drawn.index(">where<") < drawn.index("partition 1")


def test_partitions_are_what_can_run_together():
    """in → (gather | add) → cat → tile → mul: the add of the second branch joins the first."""
    refused = "no"
    nodes = [
        node("add"),
        node("gather", reason=refused),
        node("mul"),
        node("cat"),
        node("tile", reason=refused),
        node("mul"),
    ]
    wires = [([0], [1]), ([1], [2]), ([1], [3]), ([2, 3], [4]), ([4], [5]), ([5], [6])]
    placed = _partitions(nodes, wires)
    assert [(n.op, n.partition) for n in placed] == [
        ("add", 0),
        ("mul", 0),
        ("gather", None),
        ("cat", 1),
        ("tile", None),
        ("mul", 2),
    ]
    with pytest.raises(ValueError, match="wait for each other"):
        _partitions(nodes[:2], [([1], [0]), ([0], [1])])


def test_module_paths():
    class_first = "my.Net/torch.nn.Sequential_blocks/my.Block_0/my.Conv2d_conv_dw;3"
    assert tflite_path(class_first) == "blocks.0.conv_dw"
    assert tflite_path(f";;{class_first}") == "blocks.0.conv_dw"
    assert tflite_path("StatefulPartitionedCall:0") == ""
    scopes = {"pkg.torch.onnx.name_scopes": "['', 'a', 'a.b', 'conv2d']"}
    assert onnx_path(scopes) == "a.b"
    assert onnx_path({"namespace": ": my.Net/act: my.Relu/relu: aten"}) == ""
    assert onnx_path({}) == ""
    assert onnx_path({"pkg.torch.onnx.name_scopes": "[", "namespace": "x/a: B/c: d"}) == "a"


@pytest.mark.needs("ai_edge_litert")
def test_a_tflite_of_nobody(tmp_path):
    found = explain(made_by_hand.tflite(tmp_path / "net.tflite"))
    assert [(n.op, n.partition) for n in found.nodes] == [
        ("ADD", 0),
        ("BROADCAST_TO", None),
        ("MUL", 1),
    ]
    (outside,) = found.outside
    assert outside.shape == (4, 8)
    assert outside.module.endswith("the_gate")
    assert outside.cures == ("expands_removed",)
    assert found.remarks == ()  # the runtime itself makes as many partitions


@pytest.mark.needs("onnx", "onnxruntime")
def test_an_onnx_of_nobody(tmp_path):
    found = explain(made_by_hand.onnx(tmp_path / "net.onnx"))
    assert [n.op for n in found.nodes] == ["Conv", "Relu"]
    assert found.nodes[0].module == "stem.conv"
    assert found.nodes[0].seconds == pytest.approx(1600 * 72 / cost.MACS_PER_S)
    assert (found.delegate, found.outside, found.remarks) == (None, (), ())
    assert "no delegate" in found.summary


@pytest.mark.slow
@pytest.mark.needs("coremltools")
def test_an_mlpackage_of_nobody(tmp_path):
    file = made_by_hand.by(made_by_hand.MLPACKAGE, tmp_path / "net.mlpackage")
    (linear,) = explain(file).nodes
    assert (linear.op, linear.shape) == ("linear", (4, 16))
    size = 2 * (4 * 8 + 16 * 8 + 4 * 16)
    assert linear.seconds == max(4 * 16 * 8 / cost.MACS_PER_S, size / cost.BYTES_PER_S)


@pytest.mark.slow
@pytest.mark.needs("executorch", "torchao")
def test_a_pte_of_nobody(tmp_path):
    found = explain(made_by_hand.by(made_by_hand.PTE, tmp_path / "net.pte"))
    assert [p.ops for p in found.partitions] == [{"FullyConnected": 1}, {"FullyConnected": 1}]
    (outside,) = found.outside
    assert (outside.op, outside.shape) == ("native_layer_norm", (3, 16))
    assert "layer_norm_by_products" in outside.cures
    assert [n.shape for n in found.nodes if n.partition is not None] == [(3, 16), (3, 4)]
    assert found.remarks == ("it names no modules; one that edgevit converts does",)
    named = explain(tmp_path / "named.pte")
    assert [n.module for n in named.nodes] == ["0", "1", "2"]
    assert named.remarks == ()
    assert [replace(n, module="") for n in named.nodes] == list(found.nodes)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("net.onnx", b"no protobuf at all", "damaged or no .onnx"),
        ("net.onnx", b"", "empty"),
        ("net.safetensors", b"x", "ends in none of"),
        ("net.pt2", b"x", "ends in none of"),
    ],
)
@pytest.mark.needs("onnx")
def test_what_is_no_artifact(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=words):
        explain(tmp_path / name)
    with pytest.raises(ArtifactError, match="no artifact at"):
        explain(tmp_path / "nowhere.pte")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("loading method forward failed with error 0x14", "OperatorMissing"),
        ("Execution failed with status 0x12", "InvalidArgument"),
        ("error: 0x01: Failed to create StaticConstantPad node 7", "partitioner accepted"),
        ("xnn_status_invalid_parameter", "6 axes"),
        ("Node number 12 (TfLiteXNNPackDelegate) failed to prepare.", "another layout"),
        ('NSLocalizedDescription = "Error in declaring network."', "Core ML"),
        ("Error::InvalidProgram", "convert it again"),
    ],
)
def test_refusals_are_explained_once(message, words):
    said = explained(message)
    assert said.startswith(message.rstrip("."))
    assert words in said
    assert explained(said) == said


def test_what_nobody_knows_stays_as_it_is():
    for message in ("no such file", "at address 0x12", "error 0x7f"):
        assert explained(message) == message
    assert {0x01, 0x02, 0x10, 0x12, 0x14, 0x20, 0x23, 0x30} <= set(EXECUTORCH)
