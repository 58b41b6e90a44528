"""`edgevit quantize`: a plan that keeps its limit in the file, and that other targets take."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgevit.cli import cli
from edgevit.converters.artifact import Artifact
from edgevit.converters.plan import Plan
from edgevit.errors import InputError
from edgevit.recipe import Recipe

NET = f"{Path(__file__).parent.parent / 'converters' / 'noisy_net.py'}:net"


def edgevit(*arguments):
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    file = tmp_path_factory.mktemp("inputs") / "x.npy"
    np.save(file, np.random.default_rng(0).normal(0, 1, (64, 1, 16)).astype("float32"))
    return file


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript", "litert_torch")
def test_the_plan_keeps_the_limit(tmp_path, inputs):
    found = edgevit(
        "quantize", NET, "--calibrate", inputs, "--min-agreement", 1, "--explain",
        "--rounds", 1, "-o", tmp_path, "--html", tmp_path / "page.html",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert re.search(r"parts\.4 .*stays in fp32", found.stdout)
    assert re.search(r"; (?!0\.0 )\S+ % of 64 inputs get another class", found.stdout)
    assert "blocks in fp32, the file: 0.0 % of 64 inputs get another class" in found.stdout
    assert "parts.4.a" in found.stdout
    assert "as fast as fp32" in found.stdout
    file = tmp_path / "net-w8a8.plan.json"
    card = Artifact.read(tmp_path / "net-w8a8.onnx").card
    assert "parts.4" in card.recipe["keep"]
    assert tuple(card.recipe["keep"]) == Plan.read(file).keep
    assert "parts.4" in (tmp_path / "page.html").read_text()
    other = edgevit(
        "convert", NET, "--recipe", "w8a8", "--calibrate", inputs, "--to", "tflite",
        "--plan", file, "-o", tmp_path / "other",
    )  # fmt: skip
    assert other.exit_code == 0, other.output
    tflite = Artifact.read(tmp_path / "other" / "net-w8a8.tflite").card
    assert tflite.recipe["keep"] == card.recipe["keep"]
    assert tflite.agreement.worst.snr_db > 25, "with its noisiest block it has half of that"


@pytest.mark.parametrize(
    "command",
    [
        ["quantize", "deit_tiny", "--calibrate", "x.npy", "--precision"],
        ["explain", "deit_tiny", "--to", "tflite", "--precision"],
        ["convert", "deit_tiny", "--to", "tflite", "--precision"],
        ["convert", "deit_tiny", "--to", "tflite", "--recipe"],
    ],
)
def test_activations_in_16_bits_are_refused_with_the_reason(command):
    found = edgevit(*command, "w8a16")
    assert found.exit_code
    assert "no runtime here gains by w8a16" in str(found.exception) + found.output


def test_a_plan_is_for_one_model_and_precision(tmp_path):
    file = tmp_path / "plan.json"
    Plan("net", "w8a8", ("a.b",)).write(file)
    assert Plan.read(file).applied(Recipe("net"), ["fp32", "w8a8"]).keep == ("a.b",)
    for recipe, precisions, said in (
        (Recipe("other"), ["w8a8"], "is for net, not for other"),
        (Recipe("net"), ["dyn8"], "is for w8a8: ask for it"),
        (Recipe("net"), ["dyn8", "w8a8"], "and no other 8 bits"),
        (Recipe("net", tome=3), ["w8a8"], "merging"),
    ):
        with pytest.raises(InputError, match=said):
            Plan.read(file).applied(recipe, precisions)
    for text in ('{"model": "net"}', '{"model": "net", "precision": "w8a8", "keep": "a"}'):
        file.write_text(text)
        with pytest.raises(InputError, match="no plan of `edgevit quantize`"):
            Plan.read(file)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max-drop", 1), "--max-drop needs --data"),
        (("--max-drop", 1, "--min-agreement", 1), "choose one"),
    ],
)
def test_limits_that_say_nothing_are_refused(inputs, options, said):
    found = edgevit("quantize", NET, "--calibrate", inputs, *options)
    assert isinstance(found.exception, InputError)
    assert said in str(found.exception)
