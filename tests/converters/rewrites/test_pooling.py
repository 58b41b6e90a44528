"""adaptive_avg_pool2d(1) is mean([2, 3]), a mean of tokens a product with 1/N, and so on."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, operators
from hypothesis import given
from hypothesis import strategies as st

SHAPES = st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 9)] * 2)
FAR = st.sampled_from([0.0, 1e3])  # a mean this many deviations away


@FEW
@given(cells=st.tuples(*[st.integers(1, 4)] * 2), size=SHAPES, far=FAR)
def test_a_pool_to_cells_of_one_size_is_a_mean_or_an_average(cells, size, far):
    n, c, h, w = size
    x = far + torch.randn(n, c, h * cells[0], w * cells[1])
    net = Net(lambda m, x: [F.adaptive_avg_pool2d(x, s) for s in (cells, 1)])
    done, report = check(net, x, applies="global_pool_by_mean", growth=16)
    assert report.applied["global_pool_by_mean"] == 2
    assert "adaptive_avg_pool2d" not in operators(done)


def test_a_map_without_a_batch_is_pooled_too():
    net = Net(lambda m, x: F.adaptive_avg_pool2d(x, 1) + F.avg_pool2d(x, 1, 4))
    _, report = check(net, torch.randn(3, 4, 4), applies="global_pool_by_mean")
    assert report.applied["strided_pick_by_convolution"] == 1


def test_cells_of_different_sizes_are_refused():
    net = Net(lambda m, x: F.adaptive_avg_pool2d(x, 3))
    x = torch.randn(2, 3, 5, 6)
    check_spared(net, x, spared_by="global_pool_by_mean", because="differ in size")


OVER = {4: [(1, 2), (2, 3), (-1,), (1,), (2,)], 3: [(1,), (2,)], 2: [(-1,)]}


@FEW
@given(shape=SHAPES, far=FAR)
def test_a_mean_is_one_over_pixels_or_a_product(shape, far):
    """Kept as axes of length 1, and not."""

    def means(m, *xs):
        given = [(x, over) for x in xs for over in OVER[x.dim()]]
        return [y for x, o in given for y in (x.mean(o), x.relu().mean(o, keepdim=True))]

    xs = [far + torch.randn(shape[:rank]) for rank in OVER]
    _, report = check(Net(means), *xs, applies="mean_over_pixels", growth=16)
    assert report.applied["mean_over_pixels"] == 2 * 8 - 1  # one is in that form already


@pytest.mark.parametrize(
    ("why", "function"),
    [
        ("over axes [0, 1]", lambda m, x: x.mean((0, 1))),
        ("over axes [1, 2, 3]", lambda m, x: x.mean((1, 2, 3))),
        ("in torch.float64", lambda m, x: x.mean(1, dtype=torch.float64)),
    ],
)
def test_other_means_are_refused(why, function):
    check_spared(Net(function), torch.randn(2, 3, 4, 5), spared_by="mean_over_pixels", because=why)


@FEW
@given(shape=SHAPES, keep=st.booleans(), far=FAR)
def test_a_sum_is_a_mean_times_the_count(shape, keep, far):
    axes = [(2, 3), (1,), (0, 2), (0, 1, 2, 3)]
    net = Net(lambda m, x: [x.sum(over, keepdim=keep) for over in axes])
    done, report = check(net, far + torch.randn(shape), applies="sum_by_mean", growth=16)
    assert report.applied["sum_by_mean"] == 4
    assert "sum" not in operators(done)


@pytest.mark.parametrize(
    ("x", "into"), [(torch.arange(6).reshape(2, 3), None), (torch.randn(2, 3), torch.float64)]
)
def test_a_sum_of_integers_or_into_another_type_is_refused(x, into):
    net = Net(lambda m, x: x.sum(1, dtype=into))
    check_spared(net, x, spared_by="sum_by_mean", because="it sums")


@FEW
@given(
    shape=st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(3, 9)] * 2),
    kernel=st.tuples(*[st.integers(2, 3)] * 2),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
)
def test_an_average_that_counts_its_padding_is_one_of_a_padded_map(shape, kernel, stride, padding):
    net = Net(lambda m, x: F.avg_pool2d(x, kernel, stride, padding))
    _, report = check(net, torch.randn(shape), applies="average_without_padding")
    assert report.applied == {"average_without_padding": 1}


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1, "count_include_pad": False},
        {"padding": 1, "ceil_mode": True},
        {"divisor_override": 5},
    ],
    ids=str,
)
def test_an_average_that_counts_in_another_way_is_left_alone(options):
    net = Net(lambda m, x: F.avg_pool2d(x, 3, 2, **options))
    check_spared(net, torch.randn(2, 3, 6, 8), spared_by="average_without_padding")


@FEW
@given(shape=SHAPES, stride=st.tuples(*[st.integers(1, 3)] * 2))
def test_an_average_over_single_pixels_is_a_convolution(shape, stride):
    net = Net(lambda m, x: F.avg_pool2d(x, 1, stride))
    done, _ = check(net, torch.randn(shape), applies="strided_pick_by_convolution")
    assert operators(done) == ["conv2d"]


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1, "divisor_override": 2},
        {"kernel_size": 1, "ceil_mode": True},
        {"kernel_size": (1, 2)},
    ],
    ids=str,
)
def test_an_average_that_picks_no_pixels_is_left_alone(options):
    net = Net(lambda m, x: F.avg_pool2d(x, stride=2, **options))
    check_spared(net, torch.randn(2, 3, 6, 8), spared_by="strided_pick_by_convolution")
