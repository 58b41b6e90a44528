"""What is no artifact says so before a runtime sees it; what is one opens, answers and closes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from known_card import card

from edgevit import digest, sandbox
from edgevit.converters.artifact import Artifact
from edgevit.converters.card import card_of
from edgevit.converters.target import check_host
from edgevit.errors import ArtifactError, ChildError, InputError, NotOnThisSystem


def written(path: Path, content: bytes | dict[str, bytes], target: str = "onnx") -> Path:
    """An artifact with a card that fits it."""
    for name, data in content.items() if isinstance(content, dict) else [(None, content)]:
        file = path / name if name else path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    facts = {"file": path.name, "sha256": digest.of(path), "bytes": digest.size_bytes(path)}
    card(artifact=facts, target=target).write(card_of(path))
    return path


def refusal(path: Path, **settings: bool) -> str:
    with pytest.raises(ArtifactError) as e:
        Artifact.read(path, **settings)
    assert "\n" not in str(e.value)
    return str(e.value)


def test_a_file_with_its_card_is_read(tmp_path):
    path = written(tmp_path / "mon modèle.v2.onnx", b"bytes")
    found = Artifact.read(path)
    assert (found.path, found.target) == (path, "onnx")
    assert found.card is not None
    assert found.card.labels == ["Käse", "猫"]


def test_a_folder_with_its_card_is_read(tmp_path):
    files = {"Manifest.json": b"{}", "Data/weights/weight.bin": b"123"}
    path = written(tmp_path / "m.mlpackage", files, "coreml")
    assert Artifact.read(path).target == "coreml"
    (path / "Data/weights/weight.bin").write_bytes(b"124")
    assert "its SHA-256 differs" in refusal(path)
    (path / "Data/weights/weight.bin").write_bytes(b"123")
    assert Artifact.read(path).target == "coreml"
    (path / "Data/extra").write_bytes(b"")
    assert "its SHA-256 differs" in refusal(path)


@pytest.mark.parametrize("at", [0, 2, -1])
def test_a_changed_byte_is_refused(tmp_path, at):
    path = written(tmp_path / "m.pte", b"some bytes", "executorch")
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert "m.pte is not the file its card describes" in refusal(path)
    path.write_bytes(b"some bytes more")
    assert "is not the file its card describes" in refusal(path, card_required=False)


def test_a_card_is_required_unless_said_otherwise(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"x")
    assert "no card m.tflite.json beside the artifact" in refusal(path)
    assert Artifact.read(path, card_required=False) == Artifact(path, "tflite", None)


def test_what_is_no_artifact(tmp_path):
    assert refusal(tmp_path / "m.onnx") == f"no artifact at {tmp_path / 'm.onnx'}; check the path"
    (tmp_path / "m.onnx").touch()
    assert "m.onnx is empty" in refusal(tmp_path / "m.onnx")
    assert "m.onnx is empty" in refusal(tmp_path / "m.onnx", card_required=False)
    (tmp_path / "m.mlpackage").mkdir()
    assert "m.mlpackage is empty" in refusal(tmp_path / "m.mlpackage")
    (tmp_path / "m.txt").write_text("x")
    assert "m.txt is no artifact: its name ends in none of .pte, .tflite" in refusal(
        tmp_path / "m.txt"
    )
    assert "is no artifact" in refusal(tmp_path)
    written(tmp_path / "odd.onnx", b"x", target="onyx")
    assert "its card is for target 'onyx'" in refusal(tmp_path / "odd.onnx")
    written(tmp_path / "odd.onnx", b"x", target="tflite")
    assert "ends in .onnx, but its card is for target 'tflite'" in refusal(tmp_path / "odd.onnx")


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path, monkeypatch):
    """Injected: tests may run as root, whom permissions do not stop."""
    path = written(tmp_path / "m.onnx", b"x")

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(digest, "of", refuse)
    assert refusal(path) == f"{path} cannot be read: Permission denied"


def test_another_systems_runtime_is_not_timed(monkeypatch):
    from edgevit.converters.coreml import CoreML

    monkeypatch.setattr(CoreML, "runs_here", False)  # as on Linux, wherever this test runs
    with pytest.raises(NotOnThisSystem, match="macOS only"):
        check_host("coreml")


class Two(torch.nn.Module):
    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2, ids + 1


@pytest.fixture(scope="module")
def null(tmp_path_factory) -> Artifact:
    path = tmp_path_factory.mktemp("null") / "two.pt2"
    exported = torch.export.export(Two(), (torch.rand(1, 2, 3), torch.arange(4)))
    torch.export.save(exported, path)
    written(path, path.read_bytes(), "null")
    return Artifact.read(path)


@pytest.fixture(scope="module")
def session(null):
    with null.open(timeout_s=60) as session:
        yield session


def test_a_session_answers_and_keeps_its_answers(session):
    assert [(t.dtype, t.shape) for t in session.inputs] == [
        ("float32", (1, 2, 3)),
        ("int64", (4,)),
    ]
    x, ids = np.linspace(0, 1, 6, dtype=np.float32).reshape(1, 2, 3), np.arange(4)
    first, second = session(x, ids)
    strided = np.asfortranarray(x.astype(">f8"))
    assert np.array_equal(session(strided, ids)[0], x * 2)
    assert np.array_equal(session(torch.from_numpy(x), ids)[0], x * 2)
    session(x + 1, ids + 1)
    assert np.array_equal(first, x * 2)
    assert np.array_equal(second, ids + 1)


def test_inputs_that_do_not_fit_are_named(session):
    x, ids = np.zeros((1, 2, 3), np.float32), np.arange(4)
    for arrays, words in (
        ((x,), "two.pt2 takes 2 inputs, 1 were given"),
        ((x[0], ids), r"'input_0' of two.pt2 must be float32 \[1, 2, 3\], not float32 \[2, 3\]"),
        ((x.astype(int), ids), "must be float32 .* not int64"),
        ((x, ids.astype(np.float32)), r"'input_1' .* must be int64 \[4\], not float32"),
        ((x, ids.astype(np.int32)), "must be int64 .* not int32"),
    ):
        with pytest.raises(InputError, match=words):
            session(*arrays)
    assert np.array_equal(session(x, ids)[1], ids + 1)


@pytest.mark.needs("onnxruntime")
def test_a_session_that_cannot_open_leaves_no_child(tmp_path):
    broken = written(tmp_path / "broken.onnx", b"no protobuf")
    before = set(sandbox._live)
    with pytest.raises(ChildError) as e:
        Artifact.read(broken).open(timeout_s=60)
    assert "\n" not in str(e.value)
    assert set(sandbox._live) == before
