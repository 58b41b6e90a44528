"""x.transpose(1, 2)[:, 0] is a permute, a slice and a reshape, and so is every other view."""

import pytest
import torch
from check_rule import FEW, Net, as_exported, check, check_spared, each, operators
from hypothesis import given
from hypothesis import strategies as st

VIEWS = {"reshape", "slice", "permute"}
CASES = [
    ("views_as_reshape", lambda m, x: x.flatten(1).unsqueeze(1) * 2),
    ("views_as_reshape", lambda m, x: x.unflatten(1, (2, -1))[:, :, :1].squeeze(2).squeeze() * 2),
    ("transposes_as_permute", lambda m, x: x.transpose(1, -1).mT.exp()),
    ("select_as_slice", lambda m, x: x[:, 1] + x[:, -1]),
    ("parts_as_slices", lambda m, x: torch.cat(x.chunk(2, 1)[::-1], 1) + x[:, :, :1]),
    ("parts_as_slices", lambda m, x: x.split([1, x.shape[1] - 1], 1)[1].unbind(-1)[1] * 2),
    ("plain_slices", lambda m, x: x[:, 1:-1, :, -1:] * x[:, 2:99, :, :1]),
    ("plain_slices", lambda m, x: x[:, 1::2, :, ::2] * 2),
    ("reshapes_joined", lambda m, x: x.flatten(2).reshape(-1).reshape(x.shape[0], -1) * 2),
    ("permutes_joined", lambda m, x: x.permute(0, 2, 3, 1).permute(-1, 0, 2, 1) * 2),
]
SHAPES = st.builds(
    lambda n, c, h, w: (n, 4 * c, h, 2 * w), *[st.integers(1, n) for n in (3, 2, 5, 3)]
)


@FEW
@given(shape=SHAPES)
def test_every_view_is_a_reshape_a_slice_or_a_permute(shape):
    net = Net(each(*[function for _, function in CASES]))
    done, _ = check(net, torch.randn(shape), applies={rule for rule, _ in CASES})
    assert set(operators(done)) <= VIEWS | {"add", "mul", "exp", "cat"}


def test_narrow_is_a_slice_counted_from_either_end():
    net = Net(lambda m, x: [x.narrow(1, at, 2).narrow(-1, -1, 1) * 2 for at in (0, 1, -3)])
    with as_exported():
        check(net, torch.randn(2, 5, 3), applies="narrow_as_slice")


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 3, 4, 5)])
@pytest.mark.filterwarnings("ignore:The use of `x.T` on tensors of dimension:UserWarning")
def test_a_numpy_transpose_turns_all_axes_around(shape):
    net = Net(lambda m, x: torch.ops.aten.numpy_T(x) * 2)
    with as_exported():
        check(net, torch.randn(shape), applies="transposes_as_permute")


def test_views_that_end_where_they_began_are_gone():
    net = Net(lambda m, x: x.permute(0, 2, 1).flatten(1).reshape(2, 4, 3).permute(0, 2, 1)[:] + 1)
    done, _ = check(net, torch.randn(2, 3, 4), applies="permutes_joined")
    assert operators(done) == ["add"]


@pytest.mark.parametrize(
    "function",
    [lambda m, x: x[:, ::2], lambda m, x: x[:, 3::2], lambda m, x: x[:, :, :4:2]],
    ids=["odd", "offset", "part"],
)
def test_a_stride_that_cuts_no_whole_rows_is_refused(function):
    net, x = Net(lambda m, x: function(m, x) * 2), torch.randn(2, 5, 6)
    check_spared(net, x, spared_by="plain_slices", because="no whole row")


SPARED = {
    "permutes_joined": lambda m, x: x.permute(0, 2, 1) * 2,
    "reshapes_joined": lambda m, x: x.permute(0, 2, 1).reshape(2, -1) * 2,
    "parts_as_slices": lambda m, x: x.max(1)[0] + x.max(1)[1],
    "plain_slices": lambda m, x: x[:, 1:2] * 2,
}


@pytest.mark.parametrize("name", SPARED)
def test_a_view_in_its_plain_form_is_left_alone(name):
    check_spared(Net(SPARED[name]), torch.randn(2, 3, 4), spared_by=name)
