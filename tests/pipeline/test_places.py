"""Where files may go: not over what is not ours, and never half. Children are fakes."""

from pathlib import Path

import pytest

from edgevit.converters.artifact import Artifact
from edgevit.converters.card import Card
from edgevit.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(f.name for f in folder.iterdir())


@pytest.mark.parametrize("name", ["net.pt2", "thesis.txt", "package.json", "notes.onnx"])
def test_what_is_not_ours_is_not_touched_without_force(run, tmp_path, name):
    out = tmp_path / "it's my folder ü"
    out.mkdir()
    (out / name).write_text("precious")
    with pytest.raises(OutputError, match="--force"):
        run(out, "null")
    assert (out / name).read_text() == "precious"
    assert names(out) == [name]
    (outcome,) = run(out, "null", force=True)
    assert outcome.error is None
    assert names(out) == sorted({name, "net.pt2", "net.pt2.json"})
    if name == "net.pt2":
        assert Artifact.read(out / name) == outcome.artifact


def test_a_file_for_a_folder_is_named(run, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"-o .*file is a file; name a folder"):
        run(tmp_path / "file", "null")
    with pytest.raises(OutputError, match="part of the path is a file"):
        run(tmp_path / "file" / "below", "null")


def test_a_card_that_cannot_be_written_leaves_the_old_pair(run, net, tmp_path, monkeypatch):
    """Injected: no space for the card."""
    run(tmp_path, "null")
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir()}

    def full(card: Card, file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Card, "write", full)
    net[0].linear.bias.data += 1
    (outcome,) = run(tmp_path, "null")
    assert isinstance(outcome.error, OutputError)
    assert "no space is left" in str(outcome.error)
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before
