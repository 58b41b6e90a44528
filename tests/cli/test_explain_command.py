"""`edgevit explain` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "converters"))
import made_by_hand

EDGEVIT = [sys.executable, "-m", "edgevit", "explain"]


def run(*arguments, cwd=None):
    return subprocess.run([*EDGEVIT, *map(str, arguments)], cwd=cwd, capture_output=True, text=True)


@pytest.mark.needs("ai_edge_litert")
def test_a_report_ends_well_and_strictly_does_not(tmp_path):
    file = made_by_hand.tflite(tmp_path / "net.tflite")
    done = run(file, "--html", tmp_path / "page.html", "--strict")
    assert done.returncode == 3, done.stderr
    assert "error: 2 partitions in XNNPACK, 1 operator outside" in done.stderr
    assert "BROADCAST_TO" in done.stdout
    assert "expands_removed" in done.stdout
    assert "≈ share" in done.stdout
    assert "BROADCAST_TO" in (tmp_path / "page.html").read_text(encoding="utf-8")
    done = run(file, "-v", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [p["nodes"] for p in found["partitions"]] == [1, 1]
    assert found["outside"][0]["shape"] == [4, 8]


@pytest.mark.needs("ai_edge_litert")
def test_rules_of_an_accelerator_that_is_not_here(tmp_path):
    file = made_by_hand.tflite(tmp_path / "net.tflite")
    done = run(file, "--for", "litert-gpu@2.1", "--strict")
    assert done.returncode == 3, done.stderr
    assert "error: litert-gpu@2.1: 1 rule broken" in done.stderr
    for word in ("broadcast-to", "1 BROADCAST_TO", "LiteRT#9191", "No latency is predicted"):
        assert word in done.stdout
    done = run(file, "--for", "litert-gpu", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["for"]
    assert "No latency is predicted" in found["said"]
    (finding,) = found["findings"]
    assert finding["cures"] == ["repeat_by_cat"]
    assert finding["modules"] == ["blocks.Block_0.the_gate"]


@pytest.mark.needs("onnx")
def test_without_a_delegate_nothing_is_outside(tmp_path):
    done = run(made_by_hand.onnx(tmp_path / "net.onnx"), "--strict")
    assert done.returncode == 0, done.stderr
    assert "no delegate" in done.stdout
    assert "stem.conv" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.pte"], "no artifact at nowhere.pte"),
        (["mobilenetv2_10"], "--to"),
        (["mobilenetv2_100", "--to", "onx"], "did you mean 'onnx'"),
        (["net.onnx", "--to", "onnx"], "is a file"),
        (["net.onnx", "--for", "anee"], "did you mean 'ane'"),
        (["net.onnx", "--for", "ane@17"], "not kept by version"),
        (["mobilenetv2_100", "--to", "onnx", "--for", "ane"], "for coreml files, this one is"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, arguments, words):
    (tmp_path / "net.onnx").write_bytes(b"x")
    done = run(*arguments, cwd=tmp_path)
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert len(said) == 1
    assert words in said[0]


@pytest.mark.slow
@pytest.mark.needs("onnx", "onnxruntime", "onnxscript")
def test_a_model_is_converted_and_forgotten(tmp_path):
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "def net():\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten())\n"
    )
    done = run("net.py:net", "--to", "onnx", "--input-size", 8, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Conv" in {o["op"] for o in json.loads(done.stdout)["operators"]}
    assert [p.name for p in tmp_path.iterdir() if p.name != "__pycache__"] == ["net.py"]
