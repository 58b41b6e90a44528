"""`edgevit bench tome`: a row of the paper beside what the files do here."""

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from edgevit.cli import cli
from edgevit.models import sequences
from edgevit.profiles import tables
from edgevit.transforms.merge import merged, merging_of


def bench(*arguments):
    return CliRunner().invoke(cli, ["bench", "tome", *map(str, arguments)])


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_a_row_as_typed(tmp_path, monkeypatch):
    """On a small transformer in place of ViT-L, whose gigabyte takes ten minutes."""
    small = replace(tables.load("tome"), here={"image": ["timm:test_vit", 8]})
    monkeypatch.setattr(tables, "load", lambda name: small)
    found = bench("--rows", "image", "--rounds", 3, "-o", tmp_path, "--json")
    assert found.exit_code == 0, found.output
    (row,) = json.loads(found.stdout)
    assert (row["row"], row["r"], row["paper"]) == ("image", 8, 1.97)
    assert row["by_macs"] > 1
    assert row["faster"]["low"] <= row["faster"]["value"] <= row["faster"]["high"]
    assert len(list((tmp_path / "tome" / "onnx").glob("*.onnx"))) == 2


def test_no_gpu_is_said_and_fails_nothing(monkeypatch):
    none = {"device": "", "runtimes": []}
    monkeypatch.setattr("edgevit.sandbox.run", lambda function: none)
    found = bench("--column", "gpu", "--json")
    assert found.exit_code == 0
    assert "no CUDA device" in found.stderr
    assert json.loads(found.stdout) == []


@pytest.mark.slow
def test_a_row_in_torch_where_the_processor_stands_for_a_gpu(tmp_path, monkeypatch):
    small = replace(tables.load("tome"), here={"image": ["timm:test_vit", 8]})
    monkeypatch.setattr(tables, "load", lambda name: small)
    seen = {"device": "Example GPU", "runtimes": ["torch-cpu-fp32", "onnxruntime-cuda-fp32"]}
    monkeypatch.setattr("edgevit.sandbox.run", lambda function: seen)
    found = bench("--column", "gpu", "--rows", "image", "--rounds", 3, "-o", tmp_path, "--json")
    assert found.exit_code == 0, found.output
    (row,) = json.loads(found.stdout)
    assert (row["runtime"], row["batch"], row["by_macs"]) == ("torch-cpu-fp32", 32, None)
    assert row["faster"]["low"] <= row["faster"]["value"] <= row["faster"]["high"]


def test_an_unknown_row():
    found = bench("--rows", "imagee")
    assert "did you mean 'image'" in str(found.exception) + found.output


def test_every_row_of_the_paper_has_something_that_stands_for_it():
    table = tables.load("tome")
    assert {row["modality"] for row in table.rows} == set(table.here)
    for model, r in table.here.values():
        place, colon, name = model.partition(":")
        assert colon
        assert r > 0
        assert place == "timm" or callable(getattr(sequences, name))


def test_audio_has_as_many_tokens_as_the_paper_says():
    pytest.importorskip("transformers")
    with torch.device("meta"):
        model, (x,) = sequences.audio()
        (blocks,) = merging_of(merged(model.eval(), 40))
    assert blocks.ones.shape[1] == 512 + 2
    assert x.shape == (1, 1024, 128)
    assert blocks.counts[:11] == [40] * 11
