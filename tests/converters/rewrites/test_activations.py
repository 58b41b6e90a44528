"""elu(x) is max(x, 0) + (exp(min(x, 0)) − 1), and x / ‖x‖ is made of a product with ones."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, each, export, operators, outputs
from hypothesis import given
from hypothesis import strategies as st

from edgevit.converters.rewrites import NAMES
from edgevit.converters.rewrites.rule import rewrite, rules

aten = torch.ops.aten
SHAPES = st.lists(st.integers(1, 5), min_size=2, max_size=4)
POINTWISE = {
    "elu_by_clamps": lambda m, x: F.elu(x, alpha=0.7),
    "softplus_by_log": lambda m, x: F.softplus(x),
    "mish_by_log": lambda m, x: F.mish(x),
    "clamp_min_by_clamp": lambda m, x: x.clamp_min(0.1),
}
HARD = [-3e38, -1e30, -1e4, 0.0, 20.0, 88.0, 1e4, 1e30, 3e38]


@FEW
@given(shape=SHAPES, scale=st.sampled_from([0.3, 1.0, 5.0]))
def test_an_activation_is_made_of_what_has_a_kernel(shape, scale):
    """Up to 20, where torch's softplus begins to leave out exp(−x)."""
    x = (scale * torch.randn(shape)).clamp(max=20)
    done, _ = check(Net(each(*POINTWISE.values())), x, applies=POINTWISE, growth=16)
    assert not {"elu", "softplus", "mish", "clamp_min"} & set(operators(done))


def test_an_activation_of_the_huge_overflows_no_more_than_in_torch():
    net = Net(lambda m, *xs: [f(m, x) for x in xs for f in POINTWISE.values()])
    check(net, *[torch.tensor([[x]]) for x in HARD], applies=POINTWISE, growth=16)


def test_of_small_results_the_error_is_that_of_numbers_next_to_one():
    """exp(x) − 1 has fewer digits than torch's expm1, as many after the point as 1 has."""
    x = -torch.cat([10.0 ** -torch.arange(0, 30), torch.arange(1.0, 90.0)])[:, None]
    before = export(Net(each(*POINTWISE.values())), x)
    after, report = rewrite(before, rules(NAMES))
    assert {*POINTWISE} <= {*report.applied}
    for a, b in zip(outputs(before, x), outputs(after, x), strict=True):
        assert ((a - b).abs() <= 2.0**-23 * x.abs().clamp(min=1)).all()


REFUSED = [
    ("elu_by_clamps", "scales", lambda m, x: aten.elu(x, 1.0, 1.5, 1.0)),
    ("elu_by_clamps", "scales", lambda m, x: aten.elu(x, 1.0, 1.0, 0.5)),
    ("softplus_by_log", "beta is 2", lambda m, x: F.softplus(x, beta=2)),
    ("softplus_by_log", "threshold 1", lambda m, x: F.softplus(x, threshold=1)),
    ("length_by_product", "order 1", lambda m, x: torch.linalg.vector_norm(x, 1, 1)),
    ("length_by_product", "[0, 1]", lambda m, x: torch.linalg.vector_norm(x, 2)),
    (
        "length_by_product",
        "order 2",
        lambda m, x: torch.linalg.vector_norm(x, 2, 1, dtype=torch.float64),
    ),
]


@pytest.mark.parametrize(("name", "why", "function"), REFUSED)
def test_another_form_of_an_activation_is_refused(name, why, function):
    check_spared(Net(function), 3 * torch.randn(4, 5), spared_by=name, because=why)


@FEW
@given(shape=SHAPES, least=st.integers(-2, 2))
def test_integers_are_clamped_as_integers(shape, least):
    net = Net(lambda m, x: x.clamp_min(least))
    check(net, torch.randint(-5, 5, shape), applies="clamp_min_by_clamp")


def test_a_clamp_by_a_tensor_is_left_alone():
    net = Net(lambda m, x: x.clamp_min(x.mean()))
    check_spared(net, torch.randn(4, 5), spared_by="clamp_min_by_clamp")


@FEW
@given(shape=SHAPES, axis=st.integers(-2, 1), size=st.sampled_from([1e-6, 1.0, 1e12]))
def test_the_length_of_a_vector_is_the_root_of_a_product(shape, axis, size):
    def lengths(m, *xs):
        return [f(x, dim=axis) for x in xs for f in (F.normalize, torch.linalg.vector_norm)]

    x = torch.randn(shape)
    done, report = check(
        Net(lengths), size * x, size * (1e3 + x), applies="length_by_product", growth=16
    )
    assert report.applied["length_by_product"] == 4
    assert "linalg_vector_norm" not in operators(done)


def test_zeros_have_no_direction():
    net = Net(lambda m, x: F.normalize(x, dim=1))
    check(net, torch.zeros(2, 4, 6), applies="length_by_product")


def squeeze_excite(m, x):
    return x * F.hardsigmoid(m.gate(x.mean((2, 3), keepdim=True)))


@FEW
@given(c=st.integers(1, 6), h=st.integers(1, 4), scale=st.sampled_from([0.5, 1.0, 20.0]))
def test_the_line_of_a_hard_sigmoid_goes_into_what_computes_it(c, h, scale):
    net = Net(squeeze_excite, gate=torch.nn.Conv2d(c, c, 1))
    x = scale * torch.randn(2, c, h, 3)
    done, _ = check(net, x, applies="hardsigmoid_by_clamp", growth=16)
    assert operators(done) == ["mean", "conv2d", "clamp", "mul"]


@FEW
@given(shape=SHAPES, scale=st.sampled_from([0.5, 20.0]))
def test_x_times_its_hard_sigmoid_is_hard_swish(shape, scale):
    net = Net(each(lambda m, x: x * F.hardsigmoid(x), lambda m, x: F.hardsigmoid(x + 1) * (x + 1)))
    done, _ = check(net, scale * torch.randn(shape), applies="hardswish_by_name", growth=16)
    assert operators(done).count("hardswish") >= 1


def test_x_times_another_hard_sigmoid_is_none():
    net = Net(lambda m, x: x * F.hardsigmoid(x[:, :1]))
    check_spared(net, torch.randn(3, 4), spared_by="hardswish_by_name")
