"""`edgevit quantize --simulate`: a table of papers' methods, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edgevit.cli import cli
from edgevit.errors import InputError, UnknownName
from edgevit.recipe import PAPERS

NET = f"{Path(__file__).parent.parent / 'converters' / 'small_vit.py'}:net"


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(20):
        place = tmp_path / "pictures" / f"class {i % 5}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(place / f"{i}.png")
    return tmp_path / "pictures"


def quantize(*options):
    return CliRunner().invoke(cli, ["quantize", NET, *map(str, options)])


def test_a_table_and_no_file(pictures, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = quantize(
        "--calibrate", pictures, "--data", pictures, "--simulate", "log2,all", "--bits", 4
    )
    assert found.exit_code == 0, found.output
    head, plain, *rows, said = found.stdout.splitlines()
    assert head.split()[-1] == "accuracy"
    assert plain.split()[0] == "fp32"
    assert [row.split()[:2] for row in rows] == [[method, "4"] for method in PAPERS]
    assert said == "over 20 inputs; simulated only: no runtime has kernels for this"
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]


def test_the_methods_named_as_json(pictures):
    found = quantize(
        "--calibrate", pictures, "--simulate", "repq", "--simulate", "repq", "--bits", "8,4",
        "-q", "--json",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert [(row["method"], row["bits"]) for row in told["rows"]] == [("repq", 8), ("repq", 4)]
    assert all(0 <= row["kept"] <= 1 and row["right"] is None for row in told["rows"])
    assert told["rows"][0]["snr_db"] > told["rows"][1]["snr_db"]
    assert (told["counted"], told["right"], told["fused"]) == (20, None, 0)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        (("--bits", 4), InputError, "--bits is of --simulate"),
        (("--simulate", "repk"), UnknownName, "did you mean 'repq'"),
        (("--simulate", "repq", "--bits", "5"), UnknownName, "unknown number of bits '5'"),
        (("--simulate", "repq", "--to", "onnx"), InputError, "leave out --to, or"),
        (
            ("--simulate", "repq", "--max-drop", 1, "--explain", "--html", "x.html"),
            InputError,
            "leave out --max-drop and --explain and --html",
        ),
    ],
)
def test_what_a_simulation_has_not_is_refused(options, kind, said):
    found = quantize("--calibrate", "random", *options)
    assert isinstance(found.exception, kind), found.output
    assert said in str(found.exception)
