"""The tolerance is the one written down, and every planted fault is caught."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from edgevit import exact
from edgevit.converters.verify import AGREES, FACTOR, REJECTED, Agreement, agreement
from edgevit.program import outputs_of
from edgevit.reference import COUNT, Reference

NAMES = ["scores", "map"]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.conv(x).relu()
        return self.head(features.mean((2, 3))), features


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def reference(net) -> Reference:
    example = torch.linspace(-2, 2, 3 * 12 * 12).reshape(1, 3, 12, 12)
    return exact.compute(net, [example], preprocess=None, precisions=["fp32", "fp16"])


@pytest.fixture(scope="module")
def eager(net, reference):
    """What torch itself computes in float32."""
    return [
        tuple(t.numpy() for t in outputs_of(net, [torch.from_numpy(a) for a in row]))
        for row in reference.inputs
    ]


def judged(reference, found, precision="fp32") -> Agreement:
    return agreement(reference, found, precision=precision, names=NAMES)


def known(eager_error: float, *, largest: float = 4.0) -> Reference:
    """One output of 16 × 5 numbers, the largest of them known."""
    truth = np.linspace(-largest, largest / 2, COUNT * 5).reshape(COUNT, 1, 5)
    errors = {"fp32": (eager_error,), "fp16": (eager_error,)}
    return Reference(tuple((np.zeros(1),) for _ in truth), tuple((t,) for t in truth), errors)


@pytest.mark.parametrize(("precision", "unit"), [("fp32", 2.0**-24), ("fp16", 2.0**-11)])
def test_the_tolerance_is_the_written_one(precision, unit):
    for error, tolerance in (
        (0.25, FACTOR * 0.25),
        (0.0, FACTOR * unit * 4),
        (unit, FACTOR * unit * 4),
        (unit * 5, FACTOR * unit * 5),
    ):
        truth = known(error)
        (found,) = agreement(truth, truth.outputs, precision=precision, names=["y"]).outputs
        assert found.tolerance == tolerance
        assert (found.max_abs_error, found.snr_db, found.cosine) == (0, None, pytest.approx(1))
        assert (found.top1, found.eager_error, found.ok) == (1, error, True)


def test_weights_in_fewer_bits_may_err_twice_as_much_as_evenly_spaced_ones():
    truth = known(0.25)
    truth.eager_error["w4"] = (0.25,)
    (found,) = agreement(truth, truth.outputs, precision="w4", names=["y"]).outputs
    assert found.tolerance == 0.5


@pytest.mark.parametrize(("error", "status"), [(0.9, AGREES), (1.1, REJECTED)])
def test_a_file_in_8_bits_that_is_more_error_than_answer_is_rejected_whatever_is_allowed(
    error, status
):
    truth = known(100.0)
    truth.eager_error["w8a8"] = (100.0,)
    found = [(row[0] * (1 + error),) for row in truth.outputs]
    verdict = agreement(truth, found, precision="w8a8", names=["y"])
    assert verdict.status == status
    assert ("more error than answer" in str(verdict)) == (status == REJECTED)


@given(
    st.floats(1e-8, 1e-2),
    st.integers(0, COUNT * 5 - 1),
    st.floats(-1.5, 1.5).filter(lambda f: abs(abs(f) - 1) > 1e-6),
)
def test_the_tolerance_is_a_border(error, at, fraction):
    truth = known(error)
    tolerance = FACTOR * max(error, 2.0**-24 * 4)
    mine = np.stack([row[0] for row in truth.outputs])
    mine.reshape(-1)[at] += fraction * tolerance
    found = agreement(truth, [(m,) for m in mine], precision="fp32", names=["y"])
    assert found.status == (AGREES if abs(fraction) < 1 else REJECTED)
    assert found.outputs[0].max_abs_error == pytest.approx(abs(fraction) * tolerance, rel=1e-6)


def test_signal_to_noise_and_cosine_are_those_of_the_definition():
    truth = known(1.0)
    exact_ = np.stack([row[0] for row in truth.outputs])
    (found,) = agreement(
        truth, [(r[0] * 1.1,) for r in truth.outputs], precision="fp32", names=["y"]
    ).outputs
    assert found.snr_db == pytest.approx(20)  # the error is a tenth: a hundredth of the energy
    assert found.cosine == pytest.approx(1)
    assert found.max_abs_error == pytest.approx(0.4)
    (turned,) = agreement(
        truth, [(-r[0],) for r in truth.outputs], precision="fp32", names=["y"]
    ).outputs
    assert turned.cosine == pytest.approx(-1)
    assert turned.top1 == 0
    assert np.abs(exact_).max() == 4


def test_torch_itself_agrees(reference, eager):
    found = judged(reference, eager)
    assert found.status == AGREES
    assert found.inputs == COUNT
    for output, error in zip(found.outputs, reference.eager_error["fp32"], strict=True):
        assert output.tolerance == FACTOR * error
        assert 0 < output.max_abs_error < 2 * error  # torch may sum in another order now
    assert [o.top1 for o in found.outputs] == [1, None]  # a feature map holds no scores
    assert judged(reference, eager, "fp16").status == AGREES


def swap(array: np.ndarray) -> np.ndarray:
    return array[:, [1, 0, *range(2, array.shape[1])]]


def put(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.reshape(-1)[-1] = value
    return array


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda a: a * 1.001, "error .* allowed in"),
        (lambda a: a + 0.001, "error .* allowed in"),
        (swap, "error .* allowed in"),
        (np.zeros_like, "error .* allowed in"),
        (lambda a: put(a, np.nan), "holds NaN or infinity"),
        (lambda a: put(a, np.inf), "holds NaN or infinity"),
        (lambda a: put(a, -np.inf), "holds NaN or infinity"),
        (lambda a: a[0], r"has shape \[.*\] instead of \[1, "),
        (lambda a: a[:, :1], r"has shape \[1, 1.*\] instead of \[1, "),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("where", ["all inputs", "the last input"])
def test_a_planted_fault_is_caught(reference, eager, fault, words, which, where):
    found = list(eager)
    for i in range(COUNT) if where == "all inputs" else [COUNT - 1]:
        row = list(found[i])
        row[which] = fault(row[which])
        found[i] = tuple(row)
    verdict = judged(reference, found)
    assert verdict.status == REJECTED
    with pytest.raises(AssertionError, match=f"^rejected: .*{words}"):
        raise AssertionError(str(verdict))
    assert repr(NAMES[which]) in str(verdict)


def test_a_wrong_number_of_outputs_is_caught(reference, eager):
    for found in ([row[:1] for row in eager], [(*row, row[0]) for row in eager]):
        verdict = judged(reference, found)
        assert verdict.status == REJECTED
        assert "outputs instead of 2" in str(verdict)
    swapped = judged(reference, [row[::-1] for row in eager])
    assert swapped.status == REJECTED
    assert "has shape" in str(swapped)


@pytest.mark.parametrize("error", [np.inf, np.nan])
def test_a_model_that_overflows_has_no_tolerance_without_end(error):
    truth = known(error)
    found = agreement(truth, truth.outputs, precision="fp16", names=["y"])
    assert found.status == REJECTED
    assert "the model itself overflows in fp16" in str(found)


def test_a_model_that_gives_zeros_is_held_to_zeros():
    zeros = replace(known(0.0), outputs=tuple((np.zeros((1, 5)),) for _ in range(COUNT)))
    verdict = agreement(zeros, zeros.outputs, precision="fp32", names=["y"])
    assert verdict.status == AGREES
    assert verdict.outputs[0].cosine == 1
    almost = [(np.full((1, 5), 1e-30),) for _ in range(COUNT)]
    assert agreement(zeros, almost, precision="fp32", names=["y"]).status == REJECTED


def test_the_worst_output_is_the_one_that_uses_most_of_its_tolerance(reference, eager):
    found = [(row[0] * 1.5, row[1]) for row in eager]
    worst = judged(reference, found).worst
    assert worst is not None
    assert worst.name == "scores"
    assert Agreement("skipped").worst is None
    assert str(Agreement("skipped")) == "skipped"


def test_plain_values_and_back(reference, eager):
    found = judged(reference, eager)
    assert Agreement.from_dict(asdict(found)) == found
