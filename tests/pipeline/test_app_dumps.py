"""Dumps, pictures and artifacts that check-preprocess refuses, and the command itself."""

import json

import numpy as np
import pytest
from app_tensors import PHOTOGRAPHS, P, artifact
from click.testing import CliRunner

from edgevit.cli import cli
from edgevit.errors import ArtifactError, InputError
from edgevit.pipeline.check_preprocess import check_preprocess


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.bin", bytes(10), "10 bytes, but the model takes 27648 values of float32: 110592 bytes"),
        ("a.bin", bytes(96 * 96 * 4 * 4), "it may be RGBA"),
        ("a.bin", bytes(96 * 96 * 3), "it may be of bytes"),
        ("a.bin", bytes(109 * 109 * 3 * 4), "a picture of 109×109 instead of 96×96"),
        ("a.npy", np.zeros((1, 3, 100, 100), np.float32), "30000 values of float32"),
        ("a.npy", np.full((3, 96, 96), np.nan), "27648 values that are no finite numbers"),
        ("a.npy", b"\x93NUMPY nonsense", "no array that numpy reads"),
        ("a.npy", np.array([{}]), "no array that numpy reads"),
        ("a.npy", np.zeros((3, 96, 96), np.complex64), "values of complex64"),
        ("none.bin", None, "cannot read the dump"),
    ],
)
def test_other_dumps_are_refused(tmp_path, name, data, words):
    net, dump = artifact(tmp_path), tmp_path / name
    if isinstance(data, np.ndarray):
        np.save(dump, data)
    elif data is not None:
        dump.write_bytes(data)
    with pytest.raises(InputError, match=words):
        check_preprocess(net, PHOTOGRAPHS[0], dump)


def test_other_artifacts_and_pictures_are_refused(tmp_path):
    dump = tmp_path / "dump.npy"
    np.save(dump, P.apply(PHOTOGRAPHS[0]))
    with pytest.raises(InputError, match="its card has no preprocessing"):
        check_preprocess(artifact(tmp_path, preprocess=None), PHOTOGRAPHS[0], dump)
    with pytest.raises(InputError, match="not one picture of the 96×96"):
        check_preprocess(artifact(tmp_path, shape=[2, 3, 96, 96]), PHOTOGRAPHS[0], dump)
    net = artifact(tmp_path)
    with pytest.raises(InputError, match="no picture at"):
        check_preprocess(net, tmp_path / "none.png", dump)
    net.write_bytes(b"changed")
    with pytest.raises(ArtifactError, match="SHA-256 differs"):
        check_preprocess(net, PHOTOGRAPHS[0], dump)


def test_the_command(tmp_path):
    net, dump = artifact(tmp_path), tmp_path / "dump.npy"
    command = ["check-preprocess", str(net), str(PHOTOGRAPHS[0]), str(dump)]
    np.save(dump, P.apply(PHOTOGRAPHS[0])[:, ::-1])
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 3
    assert "dump.npy is not what the card says: red and blue" in done.stderr
    assert "as the card says" in done.stdout
    assert done.stdout.count(" fits") == 1
    said = json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)
    assert (said["right"], said["ambiguous"], said["best"]["largest"] < 1e-3) == (
        False,
        False,
        True,
    )
    np.save(dump, P.apply(PHOTOGRAPHS[0]))
    assert CliRunner().invoke(cli, command).exit_code == 0
    np.save(dump, np.zeros(3))
    done = CliRunner().invoke(cli, command, standalone_mode=False)
    assert isinstance(done.exception, InputError)
