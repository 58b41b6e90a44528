"""A user's model becomes an artifact once, in real children, and stays until something changes."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import known_project
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgevit.converters.artifact import Artifact
from edgevit.converters.card import card_of
from edgevit.converters.verify import AGREES
from edgevit.errors import InputError
from edgevit.pipeline import prepared, reuse
from edgevit.pipeline.convert import Outcome, as_json, convert
from edgevit.pipeline.reuse import unchanged
from edgevit.recipe import Recipe


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Outcome:
    """One real conversion, in a folder with a space and more than ASCII in its name."""
    home = tmp_path_factory.mktemp("home") / "mes modèles 模型"
    model = known_project.write(home / "proj et")
    torch.manual_seed(2)
    weights = {"conv.weight": torch.rand(4, 3, 3, 3), "conv.bias": torch.rand(4)}
    save_file(weights, home / "w ü.safetensors")
    recipe = Recipe(model, weights=str(home / "w ü.safetensors"), seed=3)
    stages: list[tuple[str, str]] = []
    (outcome,) = convert(
        recipe,
        to=["null"],
        out=home / "out" / "deep er",
        labels=["a", "b", "c", "d"],
        watch=lambda *stage: stages.append(stage),
    )
    assert outcome.error is None
    assert [s for _, s in stages[1:]] == ["done", "lower", "place", "verify", "done"]
    return outcome


@pytest.fixture
def again(made, tmp_path) -> Outcome:
    """A copy of the artifact in a folder of its own, to be spoilt."""
    for file in (made.artifact.path, card_of(made.artifact.path)):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    place = tmp_path / made.job.place.name
    return replace(made, job=replace(made.job, place=place), artifact=Artifact.read(place))


LABELS = ["a", "b", "c", "d"]


def test_the_artifact_is_what_its_card_says(made):
    path, card = made.artifact.path, made.artifact.card
    assert sorted(f.name for f in path.parent.iterdir()) == ["make.pt2", "make.pt2.json"]
    assert Artifact.read(path) == made.artifact
    assert card.agreement.status == AGREES
    assert [(p["name"], p["shape"]) for p in card.model["outputs"]] == [
        ("output_0", [1, 4]),
        ("output_1", [1, 4, 8, 6]),
        ("output_2", [1, 1, 8, 6]),
    ]
    assert [p["name"] for p in card.model["inputs"]] == ["image", "mask"]
    assert card.model["macs"] == 4 * 3 * 9 * 8 * 6
    assert card.labels == LABELS
    assert {Path(f).name for f in card.sources} == {"net.py", "layers.py"}
    assert as_json(made)["card"]["agreement"]["status"] == AGREES
    mask = np.full((1, 1, 8, 6), 0.5, np.float32)
    with made.artifact.open(timeout_s=60) as session:
        scores, gated, plus = session(np.zeros((1, 3, 10, 8), np.float32), mask)
    torch.manual_seed(2)
    torch.rand(4, 3, 3, 3)
    np.testing.assert_allclose(scores[0], torch.rand(4).numpy(), rtol=1e-6)  # the bias alone
    np.testing.assert_allclose(gated[0, :, 0, 0], scores[0] / 2, rtol=1e-6)
    assert np.array_equal(plus, mask + 1)


def test_nothing_is_made_twice(made, monkeypatch):
    """Injected: a child that must not be started."""

    def no_child(**settings):
        raise AssertionError("a child was started")

    monkeypatch.setattr(prepared, "Child", no_child)
    before = made.job.place.stat()
    (outcome,) = convert(made.job.recipe, to=["null"], out=made.job.place.parent, labels=LABELS)
    assert outcome.unchanged
    assert outcome.artifact == made.artifact
    assert made.job.place.stat() == before
    with pytest.raises(AssertionError, match="a child was started"):
        convert(made.job.recipe, to=["null"], out=made.job.place.parent, labels=None)


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"num_classes": 5}, {"weights": None}, {"embed_preprocess": True}, {"ios": 16}],
    ids=str,
)
def test_another_recipe_is_another_artifact(again, change):
    assert unchanged(again.job, LABELS, verify=True)
    other = replace(again.job, recipe=replace(again.job.recipe, **change))
    assert unchanged(other, LABELS, verify=True) is None


def test_other_labels_make_it_anew(again):
    assert unchanged(again.job, LABELS, verify=True) == again.artifact
    for labels in (None, [], ["b", "a", "c", "d"], LABELS[:3]):
        assert unchanged(again.job, labels, verify=True) is None


@pytest.mark.parametrize("name", ["w ü.safetensors", "proj et/net.py", "proj et/layers.py"])
def test_another_byte_in_a_file_of_the_users_makes_it_anew(made, again, name):
    file = made.job.place.parents[2] / name
    before = file.read_bytes()
    try:
        file.write_bytes(before + b"\n")
        assert unchanged(again.job, LABELS, verify=True) is None
        file.unlink()
        assert unchanged(again.job, LABELS, verify=True) is None
    finally:
        file.write_bytes(before)
    assert unchanged(again.job, LABELS, verify=True) == again.artifact


def test_other_tools_make_it_anew(again, monkeypatch):
    current = reuse.tools("null")
    monkeypatch.setattr(reuse, "tools", lambda target: current | {"torch": "0.4"})
    assert unchanged(again.job, LABELS, verify=True) is None
    monkeypatch.undo()
    monkeypatch.setattr(reuse.digest, "of_edgevit", lambda: "another edgevit")
    assert unchanged(again.job, LABELS, verify=True) is None


def test_a_damaged_or_unverified_artifact_is_made_anew(again):
    card = again.artifact.card
    skipped = replace(card, agreement=replace(card.agreement, status="skipped", outputs=()))
    skipped.write(card_of(again.job.place))
    assert unchanged(again.job, LABELS, verify=True) is None
    assert unchanged(again.job, LABELS, verify=False)
    card.write(card_of(again.job.place))
    again.job.place.write_bytes(again.job.place.read_bytes()[:-1])
    assert unchanged(again.job, LABELS, verify=True) is None
    again.job.place.unlink()
    assert unchanged(again.job, LABELS, verify=True) is None


INTERRUPTED = """
    import os, signal, sys
    from pathlib import Path
    from edgevit import sandbox
    from edgevit.pipeline.convert import convert
    from edgevit.recipe import Recipe

    def watch(job, stage):
        if stage == sys.argv[3]:
            print([c.pid for c in sandbox._live], flush=True)
            os.kill(os.getpid(), signal.SIGINT)

    convert(Recipe(sys.argv[1]), to=["null"], out=Path(sys.argv[2]), watch=watch)
"""


@pytest.mark.parametrize("stage", ["build, export, float64 reference", "verify"])
def test_ctrl_c_leaves_nothing_behind(tmp_path, stage):
    model = known_project.write(tmp_path / "project")
    out = tmp_path / "a" / "out"
    command = [sys.executable, "-c", dedent(INTERRUPTED), model, str(out), stage]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (-signal.SIGINT, 1, 130), done.stderr
    assert "KeyboardInterrupt" in done.stderr
    assert time.monotonic() - start < 60
    assert sorted(f.name for f in tmp_path.iterdir()) == ["project"]
    assert done.stdout.startswith("[")
    for pid in json.loads(done.stdout):
        assert not Path(f"/proc/{pid}").exists()
    assert not [p for p in processes() if str(tmp_path) in p]  # the janitor


def processes() -> list[str]:
    found = []
    for pid in os.listdir("/proc"):
        with suppress(OSError):  # it ended while we looked
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))
    return found


def test_a_model_that_does_not_exist_concerns_all_jobs(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        convert(Recipe(f"{tmp_path}/no.py:Net"), to=["null"], out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
