"""`edgevit report` as a user types it."""

import csv
import json

import pytest
from click.testing import CliRunner
from known_folder import add, filled

from edgevit.cli import cli
from edgevit.errors import InputError


def run(*arguments):
    return CliRunner().invoke(
        cli, ["report", *map(str, arguments)], standalone_mode=False, catch_exceptions=False
    )


def test_a_page_by_default_which_is_no_part_of_the_next(tmp_path):
    (filled(tmp_path) / "notes.txt").write_text("notes")
    for _ in range(2):
        done = run(tmp_path)
        assert "c.tflite" in done.stdout
        assert "left out: notes.txt: neither" in done.stderr
        assert "report.html: neither" not in done.stderr
    assert "<title>Artifacts in " in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_suffix_says_what_is_written(tmp_path):
    out = tmp_path / "elsewhere"
    filled(tmp_path)
    done = run(tmp_path, "-o", out / "r.csv", "--json")
    told = json.loads(done.stdout)
    assert told["file"] == str(out / "r.csv")
    with (out / "r.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row, same in zip(rows, told["artifacts"], strict=True):
        assert row == {key: "" if v is None else str(v) for key, v in same.items()}
    assert run(tmp_path, "-q", "-o", out / "r.md").stderr == ""
    assert (out / "r.md").read_text(encoding="utf-8").startswith("| artifact | ")


@pytest.mark.parametrize(
    ("out", "words"),
    [("r.pdf", "unknown kind of report '.pdf'; there are: .csv, .html, .md"), ("r", "report ''")],
)
def test_other_kinds_are_refused(tmp_path, out, words):
    add(tmp_path, "a.onnx")
    with pytest.raises(InputError, match=words):
        run(tmp_path, "-o", tmp_path / out)
    assert not (tmp_path / out).exists()
