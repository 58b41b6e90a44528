"""What becomes of each job: agreement, rejection, failure. Children and targets are fakes."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from edgevit import staging
from edgevit.converters.artifact import Artifact
from edgevit.converters.verify import AGREES, SKIPPED
from edgevit.errors import (
    ArtifactError,
    ChildDied,
    Disagreement,
    ExportError,
    InputError,
    MissingRuntime,
    OutputError,
    UnknownName,
)
from edgevit.pipeline.convert import as_json


def names(folder: Path) -> list[str]:
    return sorted(f.name for f in folder.iterdir())


def test_one_failure_does_not_stop_the_others(run, tmp_path):
    out = tmp_path / "out"
    dying, absent, wrong, null, half = run(
        out, "dying", "absent", "wrong", "null", precisions=["fp32"]
    ) + run(out, "null", precisions=["fp16"])
    assert isinstance(dying.error, ChildDied)
    assert isinstance(absent.error, MissingRuntime)
    assert "pip install 'edgevit[absent]'" in str(absent.error)
    assert isinstance(wrong.error, Disagreement)
    assert null.error is None
    assert null.artifact.card.agreement.status == AGREES
    assert isinstance(half.error, UnknownName)
    assert [o.error.exit_code for o in (dying, absent, wrong, half)] == [4, 5, 3, 2]
    assert names(out) == [
        "net.dying.log",
        "net.pt2",
        "net.pt2.json",
        "net.wrong.rejected",
        "net.wrong.rejected.json",
    ]


def test_ctrl_c_ends_the_jobs_that_wait(run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", "interrupted", *["null", "dying"] * 2)
    left = names(tmp_path / "out") if (tmp_path / "out").exists() else []
    # The next job may have begun; what it left is whole.
    assert left in ([], ["net.pt2", "net.pt2.json"])
    assert not left or Artifact.read(tmp_path / "out" / "net.pt2").card.agreement.status == AGREES


def test_the_log_of_a_failure_is_kept_and_named(run, tmp_path):
    (outcome,) = run(tmp_path, "dying")
    assert str(outcome.error).startswith("dying fp32: the process died of SIGSEGV")
    assert f"(log: {tmp_path / 'net.dying.log'})" in str(outcome.error)
    assert (tmp_path / "net.dying.log").read_text() == "last words"
    # And does not stand in the way of the next try.
    (outcome,) = run(tmp_path, "null")
    assert outcome.error is None


def test_a_wrong_artifact_is_kept_aside_and_not_handed_out(run, tmp_path):
    (outcome,) = run(tmp_path, "wrong")
    aside = tmp_path / "net.wrong.rejected"
    assert outcome.artifact is None
    assert str(outcome.error).startswith("wrong fp32: rejected: error ")
    assert str(outcome.error).endswith(f"in 'output_1'; the file is kept as {aside}")
    assert names(tmp_path) == [aside.name, aside.name + ".json"]
    with pytest.raises(ArtifactError, match="no artifact at"):
        Artifact.read(tmp_path / "net.wrong")
    with pytest.raises(ArtifactError, match="ends in none of"):
        Artifact.read(aside)
    assert '"status": "rejected"' in (tmp_path / "net.wrong.rejected.json").read_text()
    assert as_json(outcome)["error"]["kind"] == "Disagreement"
    assert as_json(outcome)["path"] is None
    (skipped,) = run(tmp_path, "wrong", verify=False)
    assert skipped.artifact.card.agreement.status == SKIPPED


def test_a_module_in_training_is_converted_as_it_infers_and_left_as_it_was(run, net, tmp_path):
    module, inputs = net[0].double().train(), (net[1][0].double(),)
    (outcome,) = run(tmp_path, "null", model=(module, inputs))
    assert outcome.error is None
    assert outcome.artifact.card.agreement.status == AGREES
    assert [p["dtype"] for p in outcome.artifact.card.model["inputs"]] == ["float32"]
    assert module.training
    assert module.linear.weight.dtype == torch.float64
    assert module.linear.weight.requires_grad


def test_a_live_module_is_never_taken_from_before(run, tmp_path):
    (first,), (second,) = run(tmp_path, "null"), run(tmp_path, "null")
    assert not first.unchanged
    assert not second.unchanged
    assert second.artifact.card.key is None


def test_what_concerns_all_is_raised_and_leaves_nothing(run, net, tmp_path):
    out = tmp_path / "a" / "out"
    with pytest.raises(UnknownName, match="unknown target 'nul'; did you mean 'null'"):
        run(out, "null", "nul")
    with pytest.raises(UnknownName, match="unknown precision 'fp8'"):
        run(out, "null", precisions=["fp32", "fp8"])
    with pytest.raises(InputError, match="does not run on inputs"):
        run(out, "null", model=(net[0], (torch.rand(2, 5),)))
    with pytest.raises(ExportError):
        run(out, "null", model=(Branching(), net[1]))
    assert names(tmp_path) == []


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_success_takes_what_a_failed_try_left(run, tmp_path):
    for left in ("net.pt2.log", "net.pt2.rejected", "net.pt2.rejected.json"):
        (tmp_path / left).write_text("{}")
    (outcome,) = run(tmp_path, "null")
    assert outcome.error is None
    assert names(tmp_path) == ["net.pt2", "net.pt2.json"]


def test_a_death_on_a_full_disk_is_told_as_that(run, tmp_path, monkeypatch):
    """The full disk is a fake: what `disk_usage` says of it."""
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda place: SimpleNamespace(free=4096))
    (outcome,) = run(tmp_path, "dying")
    assert isinstance(outcome.error, OutputError)
    assert "no space is left" in str(outcome.error)
