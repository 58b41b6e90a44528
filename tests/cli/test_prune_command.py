"""edgevit prune: budgets, files that load again, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file

from edgevit.cli import cli
from edgevit.converters.artifact import Artifact
from edgevit.errors import InputError, WeightsError
from edgevit.models import build
from edgevit.pictures import pictures_in
from edgevit.pipeline import prune as pruning
from edgevit.pipeline.prune import prune
from edgevit.pipeline.prune_bench import Bench
from edgevit.pipeline.prune_latency import by_owner, owners
from edgevit.pipeline.prune_study import study
from edgevit.pipeline.pruned import Budget
from edgevit.prepare import built
from edgevit.profiles.ops.profile import OpProfile, Row
from edgevit.recipe import Recipe

NET = """
import torch
from torch import nn
from edgevit.preprocess import Preprocess

def net(wide=128):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(),
        nn.Conv2d(wide, wide, 3, padding=1, groups=wide), nn.BatchNorm2d(wide), nn.ReLU(),
        nn.Conv2d(wide, 192, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(192, 3))
    net.preprocess = Preprocess(24, 24, crop_fraction=1.0, mean=(0.5,) * 3, std=(0.25,) * 3)
    return net

def other():
    return net(96)

class Block(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.a, self.b = nn.Conv2d(32, 96, 1), nn.Conv2d(96, 32, 1)
        self.b.weight.data *= part
        self.b.bias.data *= part

    def forward(self, x):
        return x + self.b(self.a(x).relu())

def deep():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2, padding=1), nn.ReLU(), Block(1.0), Block(1e-4), Block(1.0),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3))
    net.preprocess = Preprocess(24, 24, crop_fraction=1.0, mean=(0.5,) * 3, std=(0.25,) * 3)
    return net
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A net, and thirty pictures in each of three folders."""
    folder = tmp_path_factory.mktemp("prune")
    (folder / "net.py").write_text(NET)
    rng = np.random.default_rng(0)
    for label in range(3):
        (folder / "data" / str(label)).mkdir(parents=True)
        for i in range(30):
            picture = rng.integers(0, 120, (24, 24, 3))
            picture[..., label] += 100
            Image.fromarray(picture.astype(np.uint8)).save(folder / f"data/{label}/{i}.png")
    return folder


def run(folder, *more, data=True):
    words = ["prune", str(folder / "net.py:net"), "--json", "-q", "-o", str(folder / "out")]
    words += ["--data", str(folder / "data")] if data else []
    return CliRunner().invoke(cli, [*words, *more])


def refused(ended):
    assert isinstance(ended.exception, InputError), ended.output
    return str(ended.exception)


@pytest.mark.needs("onnxruntime", "onnxscript")
def test_macs_and_weights_on_budget_in_files_that_every_command_takes(folder):
    page = folder / "page.html"
    words = ["--sweep", "macs=0.5x,params=0.6x", "--tile", "4", "--rounds", "3", "--epochs", "3"]
    ended = run(folder, *words, "--html", str(page))
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout)
    assert found["refused"] == {}
    for row, key, asked in zip(found["rows"], ("macs", "params"), (0.5, 0.6), strict=True):
        assert row["met"]
        assert row["faster"]["value"] > 0  # measured beside the whole model
        assert row[key] == pytest.approx(asked, rel=0.05)
        assert all(now % 4 == 0 and now < before for before, now in row["widths"].values())
        accuracy = row["accuracy"]
        assert accuracy["trained"] >= accuracy["pruned"] > 0
        artifact = Artifact.read(Path(row["path"]))
        assert artifact.card.model["pruned"] == row["widths"]
        tensors = load_file(row["weights"])
        assert sum(t.numel() for t in tensors.values()) < 0.8 * 30_000
        with artifact.open() as session:
            x = torch.randn(1, 3, 24, 24)
            (answer,) = session(x.numpy())
        net = built(Recipe(str(folder / "net.py:net"), weights=row["weights"])).module
        np.testing.assert_allclose(answer, net(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    said = page.read_text()
    assert "macs=0.5x" in said
    assert "What it costs" in said
    words = ["--weights", found["rows"][0]["weights"], "--to", "onnx", "--recipe", "w8"]
    out = ["-o", str(folder / "w8"), "-q"]
    again = CliRunner().invoke(cli, ["convert", str(folder / "net.py:net"), *words, *out])
    assert again.exit_code == 0, again.output


@pytest.mark.needs("onnxruntime", "onnxscript")
def test_a_latency_is_corrected_by_what_the_file_takes(folder, monkeypatch):
    """The runtime takes 1.3 times as long as its operators say, and 0.2 more: faked, a fault."""

    class Faked:
        verdict, low, high = "faster", 1.0, 1.0

        def __init__(self, macs):
            self.value = 1 / min(1.0, 1.3 * macs)

    def faster(_, base, made):
        return Faked(pruning._part(base, made, "macs"))

    monkeypatch.setattr(Bench, "faster", faster)
    ended = run(folder, "--budget", "0.6x", "--rounds", "3")
    assert ended.exit_code == 0, ended.output
    (row,) = json.loads(ended.stdout)["rows"]
    assert row["got"] == pytest.approx(0.6, rel=0.05)
    assert row["macs"] == pytest.approx(0.6 / 1.3, rel=0.06)
    (table,) = (folder / "out").glob("*.latency.json")
    layers = json.loads(table.read_text())["layers"]
    assert {"0.weight"} in [set(layer["tensors"]) for layer in layers]
    assert all(layer["seconds"] == sorted(layer["seconds"]) for layer in layers)
    stamp = table.stat().st_mtime_ns
    assert run(folder, "--budget", "0.7x", "--rounds", "3").exit_code == 0
    assert table.stat().st_mtime_ns == stamp


def test_the_profiler_s_own_time_is_taken_off_each_operator(folder):
    net = build(str(folder / "net.py:net")).module
    rows = [
        Row("Conv", "", (), "0", 30e-6),
        Row("Conv", "", (), "6", 50e-6, timings=2),
        Row("Add", "", (), "", 5e-6),
    ]
    told = {"file": "", "target": "onnx", "runtime": "", "threads": 1, "runs": 1, "clock": ""}
    told |= {"profiled_s": 90e-6, "between_s": 0.0, "peak_macs_per_s": 1.0, "rows": tuple(rows)}
    found = by_owner(net, OpProfile(latency_s=65e-6, **told))
    assert found["0.weight",] == pytest.approx(25e-6)
    assert found["6.weight", "6.bias"] == pytest.approx(40e-6)
    assert sum(found.values()) == pytest.approx(65e-6)
    found = by_owner(net, OpProfile(latency_s=100e-6, **told))
    assert (found["0.weight",], found[()]) == pytest.approx((30e-6, 15e-6))


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


def test_an_operator_belongs_to_the_layer_that_it_was_folded_into(folder):
    net = build(str(folder / "net.py:net")).module
    assert owners(net, "1") == ("0.weight",)
    assert owners(net, "4") == ("3.weight", "3.bias")
    assert owners(net, "6") == ("6.weight", "6.bias")
    assert set(owners(net, "2")) == set(dict(net.named_parameters()))
    assert set(owners(net, "gone.act")) == set(dict(net.named_parameters()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "fast"], "the budget 'fast' is none"),
        (["--budget", "macs=8ms"], "the budget 'macs=8ms' is none"),
        (["--budget", "2:4"], "zeros among the weights make no file faster"),
        (["--budget", "sparsity=0.8"], "take channels out"),
        (["--budget", "1.5x"], "is to lie between 0 and 1"),
        (["--budget", "macs=0.01x"], "the narrowest widths take"),
        (["--budget", "macs=0.5x@phone"], "phone"),
    ],
)
def test_bad_budgets(folder, words, said):
    assert said in refused(run(folder, *words))


def test_without_pictures(folder):
    for more, said in (
        ([], "--importance fisher looks at pictures"),
        (["--epochs", "2"], "--epochs needs --data"),
    ):
        assert said in refused(run(folder, *more, data=False))


def test_folders_that_do_not_fit_the_head(folder, tmp_path):
    for label in range(2):
        (tmp_path / str(label)).mkdir()
        for i in range(5):
            Image.new("RGB", (24, 24)).save(tmp_path / f"{label}/{i}.png")
    said = refused(run(folder, "--data", str(tmp_path), data=False))
    assert "--data has 2 folders" in said
    assert "names 3 classes" in said


def test_weights_of_another_model_and_of_a_damaged_structure(folder):
    whole = build(str(folder / "net.py:net")).module.state_dict()
    for said, why in (
        ('{"shapes": {"0.weight": [112, 3, 3, 3]}, "counts": {}}', r"0.weight is \[112, 3, 3, 3\]"),
        ('{"shapes": {"9.weight": [8]}, "counts": {}}', "'9.weight'"),
        ('{"shapes": {}, "counts": {"0.padding_mode": 3}}', "0.padding_mode is no count"),
        ("{", "Expecting property name"),
    ):
        file = folder / "other.safetensors"
        save_file(whole, file, {"structure": said})
        with pytest.raises(WeightsError, match=f"pruned from another model .*{why}"):
            built(Recipe(str(folder / "net.py:other"), weights=str(file)))


def test_budgets_are_read_and_written_alike():
    for word in ("latency=0.6x", "latency=8ms@tflite", "macs=0.5x", "params=0.25x"):
        assert str(Budget.parse(word)) == word
    assert Budget.parse("0.6x") == Budget.parse("latency=0.6x")
    with pytest.raises(InputError):
        Budget.parse("")


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
    assert card.model["macs"] < 0.55 * 128 * 192 * 24 * 24


def test_pictures_without_pruning_are_refused(folder):
    words = ["convert", str(folder / "net.py:net"), "--to", "onnx", "--data", str(folder / "data")]
    assert "are for a recipe that prunes" in refused(CliRunner().invoke(cli, words))


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
    a, b = (load_file(f) for f in (again.recipe.weights, whole["weights"]))
    assert all(torch.equal(a[name], b[name]) for name in b)
