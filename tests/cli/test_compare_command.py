"""`edgevit compare` as a user types it."""

import json

import pytest
from click.testing import CliRunner
from known_folder import add
from known_runs import quiet

from edgevit.cli import cli
from edgevit.errors import InputError

LATER = "2026-01-02T00:00:00+00:00"


def run(*arguments):
    """(exit code, stdout, stderr)."""
    done = CliRunner().invoke(
        cli, ["compare", *map(str, arguments)], standalone_mode=False, catch_exceptions=False
    )
    return done.return_value or done.exit_code, done.stdout, done.stderr


@pytest.fixture
def folders(tmp_path):
    """Two versions of one artifact, the second a third slower, in two sessions."""
    for name, seconds in (("a", 0.010), ("b", 0.0133)):
        (tmp_path / name).mkdir()
        add(tmp_path / name, "m.onnx", seconds=seconds, run={"runtime_version": f"1.{seconds}"})
    return tmp_path / "a", tmp_path / "b"


def test_folders_are_compared_by_the_names_of_their_artifacts(folders):
    _, out, _ = run(*folders, "--json")
    (found,) = json.loads(out)
    assert found["artifact"] == "m.onnx"
    assert found["speed"]["value"] == pytest.approx(0.75, rel=0.01)
    assert found["speed"]["verdict"] == "slower"
    assert found["differs"] == {"runtime version": ["1.0.01", "1.0.0133"]}


def test_the_limit_decides_the_exit_code(folders):
    code, _, err = run(*folders, "--max-slower", "3%")
    assert code == 3
    assert "slower by more than 3 %: m.onnx 0.75" in err
    assert run(*folders, "--max-slower", "50")[0] == 0


def test_two_runs_of_other_names(tmp_path):
    files = [
        quiet(0.01, artifact=f"{name}.onnx", seed=i).save(tmp_path / f"{name}.json")
        for i, name in enumerate("ab")
    ]
    _, out, _ = run(*files)
    assert "indistinguishable" in out


def test_unlike_machines_are_refused_by_the_keys_that_differ(tmp_path):
    a = quiet(0.01).save(tmp_path / "a.json")
    b = quiet(0.01, host="unit 2", threads=2).save(tmp_path / "b.json")
    with pytest.raises(InputError, match=r"host \(unit 1 / unit 2\), threads \(1 / 2\)"):
        run(a, b)


def test_nothing_in_common_is_a_sentence(tmp_path):
    for folder, names in (("a", "xy"), ("b", "z")):
        (tmp_path / folder).mkdir()
        for name in names:
            add(tmp_path / folder, f"{name}.onnx")
    with pytest.raises(InputError, match=r"holds x\.onnx, y\.onnx and"):
        run(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="holds no run and no card"):
        run(tmp_path / "a", tmp_path / "c")
