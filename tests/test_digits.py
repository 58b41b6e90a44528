"""The digits example: an honest split, and accuracy that survives conversion."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

FILE = Path(__file__).parent.parent / "examples" / "digits.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("digits_example", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def weights(example, tmp_path_factory):
    """Of three epochs, in one thread: several wait for each other where cores are shared."""
    file = tmp_path_factory.mktemp("digits") / "digits.safetensors"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    example.train(file, epochs=3)
    torch.set_num_threads(threads)
    return file


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """One folder for all tests, so that the second finds the first one's file unchanged."""
    return tmp_path_factory.mktemp("artifacts")


def test_the_split_is_disjoint_and_keeps_the_shares(example):
    training, held_out = example.digits()
    rows = np.concatenate([training.rows, held_out.rows])
    assert sorted(rows) == list(range(1797))
    assert len(held_out.rows) == 450
    shares = [np.bincount(part.labels) / len(part.labels) for part in (training, held_out)]
    np.testing.assert_allclose(*shares, atol=0.002)
    assert training.images.shape == (1347, 3, 32, 32)
    assert abs(training.images.mean()) < 0.1
    assert abs(training.images.std() - 1) < 0.1


def test_no_held_out_digit_is_also_trained_on(example):
    training, held_out = example.digits()
    seen = {image.tobytes() for image in training.images}
    assert not any(image.tobytes() in seen for image in held_out.images)


def test_shifts_move_and_keep_the_values(example):
    torch.manual_seed(0)
    image = torch.zeros(1, 3, 32, 32)
    image[:, :, 12:20, 12:20] = 1
    for _ in range(20):
        moved = example.shifted(image)
        assert moved.shape == image.shape
        assert abs(moved.sum() - image.sum()) < 1e-2
        centre = (moved[0, 0].sum(0) * torch.arange(32)).sum() / moved[0, 0].sum()
        assert abs(centre - 15.5) < 2.01


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_wilson_as_in_newcombe_1998(example, right, count, low, high):
    assert example.wilson_pct(right, count) == pytest.approx((low, high), abs=0.0051)


@pytest.mark.slow
@pytest.mark.needs("onnx", "onnxscript", "onnxruntime")
def test_accuracy_survives_conversion(example, weights, out, capsys):
    rows = list(example.compare(weights, out, to=("null", "onnx")))
    assert [row.name for row in rows] == ["PyTorch", "null", "onnx"]
    assert rows[0].right > 0.8 * 450
    for row in rows[1:]:
        assert not row.failed
        assert row.unlike == 0
        assert row.right == rows[0].right
    example.show(rows, 450)
    assert capsys.readouterr().out.count("0 of 450") == 3


@pytest.mark.slow
def test_a_file_that_reads_worse_fails(example, weights, out, monkeypatch):
    monkeypatch.setattr(example, "evaluate", lambda artifact, images, labels: 0)
    eager, row = example.compare(weights, out, to=("null",))
    assert eager.right > 0
    assert row.failed
    assert "off by -" in row.note
