"""What a runtime refused, traced to the operator and its module in the file."""

from pathlib import Path

import made_by_hand
import pytest

from edgevit.converters.culprit import trace, traceable
from edgevit.converters.explain import pte
from edgevit.converters.explain.explanation import Node
from edgevit.converters.explain.pte import Placed
from edgevit.converters.refusals import told


@pytest.mark.needs("ai_edge_litert")
@pytest.mark.parametrize(
    ("said", "where"),
    [
        (
            "failed to delegate BROADCAST_TO node #1Node number 3 (TfLiteXNNPackDelegate) failed",
            "LiteRT's delegate refused BROADCAST_TO [4, 8] in blocks.Block_0.the_gate",
        ),
        ("Node number 0 (ADD) failed to prepare.", "LiteRT refused ADD [1, 8]"),
        # Another graph's place, and one that the file does not have.
        ("Node number 2 (ADD) failed to prepare.", "LiteRT refused ADD"),
        ("Node number 9 (MUL) failed to invoke.", "LiteRT refused MUL"),
        ("Node number 3 (TfLiteXNNPackDelegate) failed to prepare.", None),
    ],
)
def test_in_a_tflite(tmp_path, said, where):
    file = made_by_hand.tflite(tmp_path / "net.tflite")
    assert trace(target="tflite", file=str(file), said=said) == where
    assert traceable(said) == (where is not None)


def node(op: str, module: str, partition: int | None, *shape: int) -> Node:
    return Node(op, shape, module, partition, 0.0)


# What `read` finds in a .pte that is a fake: two graphs of XNNPACK's around a kernel.
OPERATORS = [
    Placed(node("StaticTranspose", "", 0, 1, 8, 8, 3), (0, 0), None, 1),
    Placed(node("Conv2d", "stem", 0, 1, 8, 8, 4), (0, 0), 1, 2),
    Placed(node("Sigmoid", "act", 0, 1, 8, 8, 4), (0, 0), 2, 3),
    Placed(node("constant_pad_nd", "crop", None, 1, 4, 6, 6), (0, 1)),
    Placed(node("Multiply", "attn", 1, 1, 4, 6, 6), (0, 2), 2, 2),
    Placed(node("Add", "attn", 1, 1, 4, 6, 6), (0, 2), 5, 3),
    Placed(node("StaticReshape", "attn", 1, 1, 2, 2, 3, 2, 3, 2), (0, 2), 5, 1),
]


@pytest.mark.parametrize(
    ("said", "where"),
    [
        (
            "KernelCall failed at instruction 0:1 in operator aten::constant_pad_nd.out: 0x12",
            "ExecuTorch refused constant_pad_nd [1, 4, 6, 6] in crop",
        ),
        (
            "KernelCall failed at instruction 0:0 in operator aten::mm.out: 0x12",
            "ExecuTorch refused mm",
        ),
        (
            "Failed to create convolution node 1 with code: xnn_status_invalid_parameter",
            "XNNPACK refused Conv2d [1, 8, 8, 4] in stem",
        ),
        ("Failed to create linear node 5, with code: x", "XNNPACK refused linear in attn"),
        ("Failed to create add node 2 with code: x", "XNNPACK refused add"),
        ("Failed to create copy node 65535 with code: x", "XNNPACK refused copy"),
        (
            "Failed to define tensor 1 with code: x",
            "XNNPACK refused the output of StaticReshape [1, 2, 2, 3, 2, 3, 2] in attn",
        ),
        ("Failed to define tensor 2 with code: x", None),
        (
            "CALL_DELEGATE execute failed at instruction 0: 0x1",
            "XNNPACK refused its graph 0 of 3 operators, stem to act",
        ),
        (
            "CALL_DELEGATE execute failed at instruction 2: 0x1",
            "XNNPACK refused its graph 1 of 3 operators, attn",
        ),
        ("CALL_DELEGATE execute failed at instruction 1: 0x1", None),
        (
            "Missing operator: [2] aten::constant_pad_nd.out",
            "ExecuTorch has no kernel for constant_pad_nd [1, 4, 6, 6] in crop",
        ),
        ("loading method forward failed with error 0x20", None),
    ],
)
def test_in_a_pte(monkeypatch, said, where):
    monkeypatch.setattr(pte, "read", lambda file: OPERATORS)
    assert trace(target="executorch", file="net.pte", said=said) == where


def test_other_files_are_not_read():
    assert trace(target="onnx", file=str(Path("nowhere")), said="Failed to create x node 1") is None


def test_the_decisive_line_leads():
    words = """[cpuinfo_utils.cpp:87] Failed to open midr file /sys/devices/soc0/image_version
[kernel_ops_util.cpp:615] Check failed (pad[i] >= 0): Padding values must be non-negative
[op_constant_pad_nd.cpp:249] Check failed (check_constant_pad_args(in, pad, value, out)):
[method.cpp:1480] KernelCall failed at instruction 0:1 in operator aten::constant_pad_nd.out: 0x12
Traceback (most recent call last):"""
    message = "RuntimeError: method->execute() failed with error 0x12 (log: m.log)"
    said = told(message, where="ExecuTorch refused it", words=words)
    assert said.startswith(
        "ExecuTorch refused it: Check failed (pad[i] >= 0): Padding values must be non-negative; "
        f"{message}. It means: InvalidArgument"
    )
    assert told("no such file", where=None) == "no such file"
