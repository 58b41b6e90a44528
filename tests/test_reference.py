"""Sixteen inputs that are what they claim to be, and answers in float64 that are right."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgevit import exact
from edgevit.errors import InputError
from edgevit.preprocess import Preprocess
from edgevit.reference import COUNT, Reference, inputs_like

IMAGE = np.zeros((1, 3, 20, 24), np.float32)
IMAGENET = Preprocess(20, 24)


def column(example: np.ndarray, preprocess: Preprocess | None = None) -> np.ndarray:
    return np.stack([row[0] for row in inputs_like([example], preprocess)])


def test_the_same_sixteen_every_time():
    first, second = column(IMAGE, IMAGENET), column(IMAGE, IMAGENET)
    assert first.shape == (COUNT, *IMAGE.shape)
    assert first.dtype == np.float32
    assert first.tobytes() == second.tobytes()
    assert len({a.tobytes() for a in first}) == COUNT


def test_normalised_pictures_fill_their_range():
    got = column(IMAGE, IMAGENET)
    mean, std = (np.array(v).reshape(-1, 1, 1) for v in (IMAGENET.mean, IMAGENET.std))
    back = got * std + mean
    assert back.min() > -1e-6
    assert back.max() < 1 + 1e-6
    assert np.allclose(back[10], 0, atol=1e-6)  # the darkest
    assert np.allclose(back[11], 1, atol=1e-6)
    assert set(np.unique(back[13].round(5))) == {0, 1}  # every value at an end
    assert np.count_nonzero(back[15].round(5)) == 1  # one bright pixel
    checkers = back[14, 0, 0].round(5)
    assert (checkers[1:] != checkers[:-1]).all()
    assert (checkers[:, 1:] != checkers[:, :-1]).all()


def test_embedded_pictures_are_pixels():
    got = column(IMAGE, Preprocess(20, 24, embedded=True))
    assert (got.min(), got.max()) == (0, 255)


def test_photographs_are_photographs():
    views = column(IMAGE, Preprocess(20, 24, embedded=True))[:6, 0]
    assert np.array_equal(views[1], views[0][..., ::-1])
    assert np.array_equal(views[4], views[3][..., ::-1])
    for i in range(6):
        for j in range(i):
            assert np.abs(views[i] - views[j]).mean() > 5
    flat = views.reshape(6, -1)
    noise = column(IMAGE, Preprocess(20, 24, embedded=True))[6:10, 0]
    # Neighbours in a photograph are alike, in noise they are not.
    rough = [np.abs(np.diff(v, axis=-1)).mean() / v.std() for v in (*views, *noise)]
    assert max(rough[:6]) < min(rough[6:])
    assert (flat.std(1) > 10).all()
    assert np.abs(views[0][0] - views[0][2]).mean() > 5  # colours
    grey = column(
        np.zeros((2, 1, 8, 8), np.float32), Preprocess(8, 8, 1.0, "bicubic", (0.5,), (0.5,), "L")
    )
    assert np.array_equal(grey[:6, 0], grey[:6, 1])


def test_other_inputs_stay_in_the_range_of_their_example():
    example = np.linspace(-3, 7, 30, dtype=np.float32).reshape(1, 30)
    got = column(example)
    assert got.dtype == np.float32
    assert (got.min(), got.max()) == (-3, 7)
    assert len({a.tobytes() for a in got}) == COUNT
    same = column(np.full((1, 5), 2.0, np.float32))
    assert (same.min(), same.max()) == (1, 3)
    alone = column(np.array(2.0, np.float32))
    assert (alone.shape, alone.dtype) == ((COUNT,), np.float32)


@pytest.mark.parametrize("preprocess", [None, Preprocess(4, 4)])
def test_whole_numbers_stay_whole_and_in_range(preprocess):
    for shape in ((1, 7), (1, 3, 4, 4)):
        example = np.arange(int(np.prod(shape))).reshape(shape) % 7
        got = column(example, preprocess)
        assert got.dtype == example.dtype
        assert set(np.unique(got)) == set(range(7))
        assert np.array_equal(got[0], example)
    flags = column(np.array([[True, False]]))
    assert flags.dtype == bool
    assert flags.any()
    assert not flags.all()


def test_only_pictures_are_normalised():
    features = np.linspace(0, 1, 5 * 16, dtype=np.float32).reshape(1, 5, 4, 4)
    rows = inputs_like([IMAGE, features], IMAGENET)
    got = np.stack([row[1] for row in rows])
    assert (got.min(), got.max()) == (0, 1)


class Hand(nn.Module):
    """y = 1/3·x + 0.1: exact in neither precision, and known to the last digit in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1 / 3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.weight * x, x.sum(1)


def computed(module: nn.Module, *examples: Tensor, precisions=("fp32", "fp16")) -> Reference:
    return exact.compute(module, examples, preprocess=None, precisions=precisions)


def test_the_truth_is_computed_in_float64():
    module, example = Hand(), torch.linspace(-1, 1, 40).reshape(1, 40)
    found = computed(module, example)
    third = float(np.float32(1 / 3))  # the weight as it is stored
    for (x,), (product, total) in zip(found.inputs, found.outputs, strict=True):
        assert product.dtype == total.dtype == np.float64
        assert np.array_equal(product, third * x.astype(np.float64))
        assert np.allclose(total, x.astype(np.float64).sum(1), rtol=0, atol=1e-14)
    for precision, unit in (("fp32", 2.0**-24), ("fp16", 2.0**-11)):
        error = found.eager_error[precision]
        assert unit / 100 < error[0] < 2 * unit
        assert unit / 100 < error[1] < 40 * unit
    assert module.weight.dtype == torch.float32
    assert np.array_equal(computed(module, example).outputs[3][0], found.outputs[3][0])


def test_fewer_bits_err_more_and_small_tensors_keep_theirs():
    torch.manual_seed(0)
    net, x = torch.nn.Linear(64, 64), torch.randn(1, 64)
    precisions = ("fp16", "w8", "w6", "w4", "w4-sparse")
    errors = computed(net, x, precisions=precisions).eager_error
    found = [errors[p][0] for p in precisions]
    assert all(4 * a < 3 * b for a, b in itertools.pairwise(found))
    small = computed(
        torch.nn.Linear(8, 8), torch.randn(1, 8), precisions=("fp16", "w4")
    ).eager_error
    assert small["w4"] == small["fp16"]


def test_it_is_kept_in_a_file(tmp_path):
    found = computed(Hand(), torch.linspace(-1, 1, 40).reshape(1, 40))
    found.save(tmp_path / "r ü.npz")
    loaded = Reference.load(tmp_path / "r ü.npz")
    assert loaded.eager_error == found.eager_error
    for mine, theirs in ((loaded.inputs, found.inputs), (loaded.outputs, found.outputs)):
        assert len(mine) == len(theirs) == COUNT
        for a, b in zip(mine, theirs, strict=True):
            assert all(
                np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True)
            )


class Faulty(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        if self.what == "nan":
            return torch.log(-x.abs() - 1)
        if self.what == "needs float32":
            assert x.dtype == torch.float32, "only float32 here"
        if self.what == "in place":
            x -= 5
            return x * 2
        if self.what == "views":
            y = torch.zeros_like(x)
            y[:, :3] = x[:, :3] / 3
            y[:, 3:].copy_(x[:, 3:])
            return y.expand(2, -1)
        return x * 60000 * 60000 / 60000


def test_a_model_without_a_value_is_refused():
    with pytest.raises(InputError, match="the model itself gives NaN or infinity in float64"):
        computed(Faulty("nan"), torch.rand(1, 4))
    with pytest.raises(InputError, match=r"not run in torch.float64.*only float32 here"):
        computed(Faulty("needs float32"), torch.rand(1, 4))


def test_what_overflows_in_half_is_marked():
    error = computed(Faulty("overflow"), torch.rand(1, 4)).eager_error
    assert np.isfinite(error["fp32"]).all()
    assert not np.isfinite(error["fp16"]).any()


class Large(nn.Module):
    """Overflows in half where the input's end of the range is met, and only there."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 66000 * 100) / 1000


def test_an_input_that_overflows_in_half_hides_no_other():
    found = computed(Large(), torch.linspace(0, 0.01, 4)[None])
    (error,) = found.eager_error["fp16"]
    largest = max(float(np.abs(y).max()) for (y,) in found.outputs)
    assert 0 < error < 1e-2 * largest


def test_a_module_that_writes_into_its_input_does_not_change_the_next_run():
    found = computed(Faulty("in place"), torch.rand(1, 4))
    for (x,), (y,) in zip(found.inputs, found.outputs, strict=True):
        assert np.array_equal(y, (x.astype(np.float64) - 5) * 2)
    assert max(found.eager_error["fp32"]) < 1e-5
    assert max(found.eager_error["fp16"]) < 1e-1


def test_half_precision_reaches_what_is_written_through_a_view():
    error = computed(Faulty("views"), torch.rand(1, 6)).eager_error
    assert 0 < error["fp16"][0] < 2.0**-11


def test_an_input_that_hangs_by_a_rounding_error_is_made_softer():
    """A step at the sum of the brightest input: what is far from it stays as it is."""

    class Step(nn.Module):
        def __init__(self, at):
            super().__init__()
            self.at = at

        def forward(self, x):
            total = x.mean((1, 2, 3))
            return total + (total > self.at)

    example = torch.rand(1, 3, 8, 8)
    rows = exact.inputs_like([example.numpy()], None)
    means = [float(row[0].mean(dtype=np.float64)) for row in rows]
    held = exact.compute(
        Step(means[4]), [example], preprocess=None, precisions=["fp32"], decides=True
    )
    softer = [not np.array_equal(a[0], b[0]) for a, b in zip(rows, held.inputs, strict=True)]
    assert softer == [abs(mean - means[4]) < 1e-4 for mean in means]
    assert held.inputs[4][0].max() >= 0.9 * rows[4][0].max()
