"""What the rules make of profiles of known truth, and how XNNPACK's operators find their nodes."""

import pytest

from edgevit.converters.explain.explanation import Node
from edgevit.converters.rewrites.cases import CASES
from edgevit.profiles.ops import advice
from edgevit.profiles.ops.profile import OpProfile, Row
from edgevit.profiles.ops.timing import Timed
from edgevit.profiles.ops.xnnpack import aligned

DEPTHWISE = Row("DepthwiseConv2d", "", (1, 8, 8, 64), "a.dw", 3e-3, 64 * 64 * 49, 40_000)
LINEAR = Row("FullyConnected", "", (1, 64, 256), "a.fc", 1e-3, 80e6, 400_000)
NORM = Row(
    "native_layer_norm", "", (1, 8), "a.norm", 1e-3, 0, 32_768, 1, True, "none", ("by_products",)
)


def profile(*rows, target="executorch", between_s=0.0, **told):
    whole = sum(r.seconds for r in rows) + between_s
    settings = {"latency_s": whole, "profiled_s": whole, "applied": {}} | told
    return OpProfile("net", target, "", 1, 1, rows=rows, between_s=between_s, clock="",
                     peak_macs_per_s=1e11, **settings)  # fmt: skip


def said(found):
    return [one.said for one in advice.advice(found)]


def test_a_large_depthwise_names_its_rewrite_where_it_pays():
    (first, *_) = said(profile(DEPTHWISE, LINEAR))
    assert "49 taps" in first
    assert first.endswith("was not applied")
    assert any(advice.RULE in case.forms for case in CASES)
    assert advice.advice(profile(DEPTHWISE, LINEAR))[0].share == pytest.approx(0.75)
    assert not any(advice.RULE in line for line in said(profile(DEPTHWISE, target="onnx")))
    small = Row("DepthwiseConv2d", "", (1, 8, 8, 64), "a.dw", 3e-3, 64 * 64 * 9, 40_000)
    (line,) = said(profile(small))
    assert line.endswith("memory-bound, 1.1 bytes per MAC")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"applied": {}}, "is available and was not applied"),
        ({"applied": None}, "no card"),
        ({"applied": {"by_products": 2}}, "was applied elsewhere, not here"),
        ({"refused": (("by_products", "a.norm", "too wide"),)}, "was refused: too wide"),
    ],
)
def test_the_card_says_what_was_tried(told, words):
    (line,) = (line for line in said(profile(NORM, LINEAR, **told)) if "layer_norm" in line)
    assert line.startswith("native_layer_norm, outside the delegate (none): rewrite `by_products`")
    assert words in line


def test_what_runs_at_the_peak_needs_fewer_macs():
    assert said(profile(LINEAR)) == [
        "FullyConnected runs at 80% of peak: only fewer MACs, or fewer bits, would make it faster"
    ]


def test_moves_and_what_is_between_operators_are_named():
    moving = Row("Transpose", "", (8,), "", 2e-3, 0, 1000)
    lines = said(profile(LINEAR, moving, between_s=1e-3))
    assert any("moving numbers, not computing (Transpose)" in line for line in lines)
    assert any("in none of the 2 operators" in line for line in lines)


def test_doubts():
    assert not advice.doubts(profile(LINEAR))
    (line,) = advice.doubts(profile(LINEAR, latency_s=2e-3, profiled_s=2e-3))
    assert "others use the machine" in line
    (line,) = advice.doubts(profile(LINEAR, profiled_s=2e-3))
    assert "100% longer" in line
    fast = Row("FullyConnected", "", (1,), "", 1e-3, 300e6, 4)
    assert "at up to 300% of the peak" in advice.doubts(profile(fast))[0]
    assert said(profile(fast)) == []  # nothing is built on a peak in doubt


def test_a_clock_of_whole_microseconds_gives_no_rate_of_a_few():
    short = Row("Add", "", (8,), "", 2e-6, 0, 10**6)
    assert short.bytes_per_s is None
    assert Row("Add", "", (8,), "", 2e-5, 0, 10**6).bytes_per_s == pytest.approx(5e10)


def node(op, module="", macs=0.0, partition=0):
    return Node(op, (1,), module, partition, macs, macs=macs)


def test_operators_that_are_gone_or_new_shift_nothing():
    filed = [node(op, str(i)) for i, op in enumerate(
        ["TRANSPOSE", "PAD", "CONV_2D", "RELU6", "MUL", "RESHAPE", "CONV_2D", "GELU"]
    )]  # fmt: skip
    ran = ["Transpose (ND, X32) Transpose", "Convolution (NHWC, F32) IGEMM", "Square (NC)"]
    ran += ["Copy (NC, X32)", "Fully Connected (NC, F32) GEMM", "GELU (NC)"]
    found = aligned(ran, filed)
    assert [n and n.module for n in found] == ["0", "2", "4", None, "6", "7"]
    assert aligned([], filed) == []


def test_a_fused_kernel_is_called_after_its_work_and_kernels_timed_as_one_after_all():
    nodes = [node("Conv", "a.conv", 10.0), node("Clip", "a.act")]
    fused = Timed.of(nodes, [1.0], kernel="FusedConv").row
    assert (fused.kind, fused.module, fused.macs) == ("Conv", "a.conv", 10.0)
    assert Timed.of(nodes, [1.0]).row.kind == "Conv, Clip"
    assert Timed.of([], [1.0], kernel="Copy (NC, X32)").row.kind == "Copy"
