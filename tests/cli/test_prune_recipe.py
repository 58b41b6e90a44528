"""Pruning among the rest: blocks, recipes, a training that stopped, weights of other models."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from known_prunable import filled, refused, run
from safetensors.torch import load_file, save_file

from edgevit.cli import cli
from edgevit.converters.artifact import Artifact
from edgevit.errors import InputError, WeightsError
from edgevit.models import build
from edgevit.pictures import pictures_in
from edgevit.pipeline.prune import prune
from edgevit.pipeline.prune_bench import Bench
from edgevit.pipeline.prune_study import study
from edgevit.pipeline.pruned import Budget
from edgevit.prepare import built
from edgevit.recipe import Recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("prune"))


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_a_block_that_matters_least_is_left_out_whole(folder):
    words = ["prune", f"{folder / 'net.py'}:deep", "--data", str(folder / "data"), "--rounds", "3"]
    words += ["--budget", "macs=0.68x", "-o", str(folder / "deep"), "--json", "-q"]
    ended = CliRunner().invoke(cli, words)
    assert ended.exit_code == 0, ended.output
    (row,) = json.loads(ended.stdout)["rows"]
    assert (row["widths"]["3.a"], row["widths"]["3.b"]) == ([96, 0], [32, 0])
    assert all(now > 0 for name, (_, now) in row["widths"].items() if not name.startswith("3."))
    net = built(Recipe(f"{folder / 'net.py'}:deep", weights=row["weights"])).module
    assert isinstance(net[3], torch.nn.Identity)


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_what_is_pruned_can_be_pruned_again(folder):
    found, weights = study(Recipe(str(folder / "net.py:net")), pictures_in(folder / "data", "")), []
    for place, budget in (("once", "macs=0.7x"), ("twice", "macs=0.6x")):
        bench = Bench("onnx", folder / place, rounds=3)
        row = prune(found, Budget.parse(budget), bench)
        weights.append(row.recipe.weights)
        found = study(row.recipe, pictures_in(folder / "data", ""))
        assert found.model.module[3].groups == row.widths["3"][1]
    assert row.widths["3"][0] == 128  # of the whole model
    again = [sum(t.numel() for t in load_file(file).values()) for file in weights]
    assert again[1] < 0.8 * again[0]
    with pytest.raises(InputError, match="would be written over itself"):
        prune(found, Budget.parse("macs=0.6x"), bench)


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_a_recipe_prunes_before_it_quantizes(folder):
    net, data = str(folder / "net.py:net"), str(folder / "data")
    words = ["convert", net, "--recipe", "prunemacs=0.5x-rep-w8a8", "--calibrate", data]
    words += ["--data", data, "--to", "onnx", "-o", str(folder / "recipe"), "--json", "-q"]
    ended = CliRunner().invoke(cli, words)
    assert ended.exit_code == 0, ended.output
    (row,) = json.loads(ended.stdout)
    assert row["pays"]["plain"].endswith("net.onnx")
    assert Path(row["path"]).parent.name == "onnx-macs0.5x"
    card = Artifact.read(Path(row["path"])).card
    assert (card.recipe["precision"], card.model["pruned"]["3"][0]) == ("w8a8", 128)
    whole = (27 * 128 + 9 * 128 + 128 * 192) * 24 * 24
    assert 0.45 * whole < card.model["macs"] < 0.55 * whole


def test_pictures_without_pruning_are_refused(folder):
    words = ["convert", str(folder / "net.py:net"), "--to", "onnx", "--data", str(folder / "data")]
    assert "are for a recipe that prunes" in refused(CliRunner().invoke(cli, words))


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_a_training_that_stopped_goes_on_with_the_same_widths(folder, monkeypatch):
    """The second epoch is broken off: a fault, injected."""
    words = ["--budget", "params=0.5x", "--epochs", "3", "--rounds", "3"]
    whole = json.loads(run(folder, *words, "-o", str(folder / "whole")).stdout)["rows"][0]

    def told(job, stage):
        if "epoch 2" in stage:
            raise KeyboardInterrupt

    net = str(folder / "net.py:net")
    found = study(Recipe(net), pictures_in(folder / "data", "--data"))
    budget, bench = Budget.parse("params=0.5x"), Bench("onnx", folder / "stopped", rounds=3)
    with pytest.raises(KeyboardInterrupt):
        prune(found, budget, replace(bench, watch=told), epochs=3)
    assert [*bench.out.glob("*.checkpoint.safetensors")]
    seen = []
    again = prune(
        found, budget, replace(bench, watch=lambda job, stage: seen.append(stage)), epochs=3
    )
    assert next(stage for stage in seen if "epoch" in stage and "loss" in stage).startswith(
        "epoch 3"
    )
    assert not [*bench.out.glob("*.checkpoint.safetensors")]
    assert again.widths == whole["widths"]
    assert replace(found, importance="bn").digest(budget) != found.digest(budget)
    a, b = (load_file(f) for f in (again.recipe.weights, whole["weights"]))
    assert all(torch.equal(a[name], b[name]) for name in b)


def test_weights_of_another_model_and_of_a_damaged_structure(folder):
    whole = build(str(folder / "net.py:net")).module.state_dict()
    for said, why in (
        ('{"shapes": {"0.weight": [112, 3, 3, 3]}, "counts": {}}', r"0.weight is \[112, 3, 3, 3\]"),
        ('{"shapes": {"9.weight": [8]}, "counts": {}}', "'9.weight'"),
        ('{"shapes": {}, "counts": {"0.padding_mode": 3}}', "0.padding_mode is no such number"),
        ("{", "Expecting property name"),
    ):
        file = folder / "other.safetensors"
        save_file(whole, file, {"structure": said})
        with pytest.raises(WeightsError, match=f"pruned from another model .*{why}"):
            built(Recipe(str(folder / "net.py:other"), weights=str(file)))
