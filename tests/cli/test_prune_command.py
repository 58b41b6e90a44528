"""edgevit prune: budgets, files that load again, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from known_prunable import filled, refused, run
from PIL import Image
from safetensors.torch import load_file

from edgevit.cli import cli
from edgevit.converters.artifact import Artifact
from edgevit.errors import InputError
from edgevit.pipeline import prune as pruning
from edgevit.pipeline.prune_bench import Bench
from edgevit.pipeline.pruned import Budget
from edgevit.prepare import built
from edgevit.recipe import Recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("prune"))


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_a_latency_is_corrected_by_what_the_file_takes(folder, monkeypatch):
    """The runtime takes 1.3 times as long as its operators say: faked, a fault."""

    class Faked:
        verdict, low, high = "faster", 1.0, 1.0

        def __init__(self, macs):
            self.value = 1 / min(1.0, 1.3 * macs)

    def beside(_, base, made):
        return Faked(pruning._part(base, made, "macs")), 0.001

    monkeypatch.setattr(Bench, "beside", beside)
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "fast"], "the budget 'fast' is none"),
        (["--budget", "macs=8ms"], "the budget 'macs=8ms' is none"),
        (["--budget", "2:4"], "zeros among the weights make no file faster"),
        (["--budget", "sparsity=0.8"], "take channels out"),
        (["--budget", "0ms"], "is nothing at all"),
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


def test_budgets_are_read_and_written_alike():
    for word in ("latency=0.6x", "latency=8ms@tflite", "macs=0.5x", "params=0.25x"):
        assert str(Budget.parse(word)) == word
    assert Budget.parse("0.6x") == Budget.parse("latency=0.6x")
    with pytest.raises(InputError):
        Budget.parse("")
