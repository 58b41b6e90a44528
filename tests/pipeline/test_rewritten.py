"""What the graph rewrites did stands on the card; a form that fails gives way to the plain one."""

import sys
from types import ModuleType

import made_by_hand
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from edgevit.cli.show import command as show
from edgevit.converters.target import TARGETS
from edgevit.converters.tflite import TFLite
from edgevit.pipeline import make


def test_the_card_says_what_was_rewritten(run, tmp_path):
    (outcome,) = run(tmp_path, "fond")
    report = outcome.artifact.card.rewrites
    assert report["applied"]["sum_by_mean"] == 1
    assert report["left_alone"] is None


def test_a_target_without_rewrites_gets_none(run, tmp_path):
    (outcome,) = run(tmp_path, "null")
    assert outcome.artifact.card.rewrites is None


def test_a_runtime_that_refuses_the_rewritten_form_gets_the_plain_one(run, tmp_path):
    (outcome,) = run(tmp_path, "averse")
    report = outcome.artifact.card.rewrites
    assert report["applied"] == {}
    assert report["left_alone"] == (
        "the form that torch exports stands, because once rewritten, the process died of SIGSEGV "
        "in lower"
    )


def test_the_error_tells_both_forms_where_both_fail(run, tmp_path):
    (outcome,) = run(tmp_path, "unable")
    assert str(outcome.error) == (
        "unable fp32: as torch exports it, the process died of SIGABRT. Once rewritten, the "
        "process died of SIGSEGV in lower"
    )
    assert list(tmp_path.iterdir()) == []


class Sums(nn.Module):
    """What made_by_hand's .tflite computes."""

    def forward(self, x: Tensor) -> Tensor:
        return (torch.cat([x, x]).sum(0, keepdim=True)).expand(4, 8) * 2


class Planted(TFLite):
    """LiteRT itself, and a fake converter that fails it where sums were rewritten."""

    rewrites = ("pooling",)

    def lower(self, program, file, *, precision, ios) -> None:
        plain = any("sum" in str(node.target) for node in program.exported.graph.nodes)
        made_by_hand.tflite(file, to=(4, 8) if plain else (4, 9))


@pytest.mark.needs("litert_torch", "ai_edge_litert", "ai_edge_quantizer")
def test_the_card_says_what_the_runtime_refused_and_where(run, tmp_path, monkeypatch):
    module = ModuleType("fake_planted")
    module.target = Planted
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(TARGETS, "tflite", module.__name__)
    (outcome,) = run(tmp_path, "tflite", model=(Sums(), (torch.linspace(-1, 1, 8).reshape(1, 8),)))
    assert outcome.error is None
    said = outcome.artifact.card.rewrites["left_alone"]
    assert said.startswith(
        "the form that torch exports stands, because once rewritten, LiteRT refused BROADCAST_TO "
        "[4, 8] in blocks.Block_0.the_gate: "
    )
    assert "(log: " not in said
    shown = CliRunner().invoke(show, [str(outcome.artifact.path)]).output
    assert "none: the form that torch exports stands" in " ".join(shown.split())


def test_the_form_with_fewer_cuts_is_kept(run, tmp_path, monkeypatch):
    """The rewritten one leaves more outside the delegate than the plain one."""
    lowered = make.Maker._lowered

    def placed(self, child, job, made, log, rewrites):
        report, _ = lowered(self, child, job, made, log, rewrites)
        cuts = {"delegate": "D", "partitions": 1, "outside": {} if rewrites == () else {"cat": 2}}
        return report, cuts

    monkeypatch.setattr(make.Maker, "_lowered", placed)
    (outcome,) = run(tmp_path, "fond")
    card = outcome.artifact.card
    assert card.placement.outside == {}
    assert "3 partitions and operators outside them, 1 without" in card.rewrites["left_alone"]
