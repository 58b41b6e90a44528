"""`edgevit quantize --to coreml`: counted in the saved program; of speed nothing is known here."""

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgevit.cli import cli
from edgevit.converters.artifact import Artifact
from edgevit.converters.card import card_of
from edgevit.pipeline.pays import Untimed, leave

NET = f"{Path(__file__).parent.parent / 'converters' / 'noisy_net.py'}:net"


@pytest.mark.skipif(sys.platform == "darwin", reason="there it is timed")
@pytest.mark.needs("coremltools")
def test_it_is_planned_and_counted_but_not_timed(tmp_path):
    inputs = tmp_path / "x.npy"
    np.save(inputs, np.random.default_rng(0).normal(0, 1, (32, 1, 16)).astype("float32"))
    arguments = ("quantize", NET, "--to", "coreml", "--calibrate", inputs, "-o", tmp_path / "out")
    found = CliRunner().invoke(cli, [*map(str, arguments), "--min-agreement", "0.95"])
    assert found.exit_code == 0, found.output
    said = " ".join(found.stdout.split())
    assert "stays in fp16" in said
    assert "blocks in fp16, the file: " in said
    assert (
        "net-w8a8.mlpackage: whether it pays is not known here, coreml files run on macOS" in said
    )
    card = Artifact.read(tmp_path / "out" / "net-w8a8.mlpackage").card
    assert "parts.4" in card.recipe["keep"]


def test_what_was_not_timed_is_left(tmp_path):
    file = tmp_path / "net-w8a8.mlpackage"
    for part in (file, card_of(file)):
        part.write_text("")
    untimed = Untimed(Artifact(file, "coreml", None), "its runtime is not here")
    leave([untimed])
    assert file.exists()
    assert card_of(file).exists()
    assert untimed.as_dict() == {"pays": None, "why": "its runtime is not here"}
