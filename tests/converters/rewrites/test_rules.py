"""Each rule applies to a small net made for it, and leaves its function as it was."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import check, operators
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

FEW = settings(max_examples=5, deadline=None)


class Net(nn.Module):
    """A module from a function of (module, x) and the layers it uses."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            if isinstance(layer, torch.Tensor):
                self.register_buffer(name, layer)
            else:
                setattr(self, name, layer)

    def forward(self, *xs):
        return self.function(self, *xs)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def drawn(module):
    """Norms whose weights and statistics are not the neutral ones."""
    for p in [*module.parameters(), *module.buffers()]:
        if p.is_floating_point():
            p.data.copy_(torch.rand_like(p) + 0.5)
    return module


@FEW
@given(c=st.integers(2, 40), n=st.integers(1, 9), mean=st.sampled_from([0.0, 1e3]))
def test_layer_norm(c, n, mean):
    """A mean a thousand deviations away costs digits in torch too, and no more here."""
    net = Net(lambda m, x: m.norm(x), norm=drawn(nn.LayerNorm(c)))
    done, _ = check(net, torch.randn(2, n, c) + mean, applies="layer_norm_by_products", growth=32)
    assert "layer_norm" not in operators(done)


def test_layer_norm_of_what_is_all_alike():
    net = Net(lambda m, x: m.norm(x), norm=drawn(nn.LayerNorm(16)))
    check(net, torch.zeros(1, 3, 16), applies="layer_norm_by_products")


def test_the_affine_part_of_a_norm_goes_into_what_follows():
    net = Net(lambda m, x: m.fc(m.norm(x)), norm=drawn(nn.LayerNorm(8)), fc=nn.Linear(8, 5))
    done, report = check(net, torch.randn(1, 4, 8), applies="affine_into_what_follows")
    assert report.applied["affine_into_what_follows"] == 2
    assert operators(done).count("add") == 0


@FEW
@given(groups=st.sampled_from([1, 2, 4]), side=st.integers(1, 9))
def test_group_norm(groups, side):
    net = Net(lambda m, x: m.norm(x), norm=drawn(nn.GroupNorm(groups, 8)))
    check(net, torch.randn(1, 8, side, side) + 3, applies="group_norm_by_means", growth=32)


@FEW
@given(
    k=st.sampled_from([(7, 7), (9, 9), (11, 11), (7, 5), (31, 1)]),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
)
def test_large_depthwise(k, stride, dilation):
    pad = [dilation * (n // 2) for n in k]
    conv = nn.Conv2d(6, 6, k, stride, pad, dilation, groups=6)
    done, _ = check(
        Net(lambda m, x: m.c(x), c=conv), torch.randn(1, 6, 19, 17), applies="depthwise_in_rows"
    )
    kernels = [n.args[1].meta["val"].shape for n in done.graph.nodes if "conv2d" in str(n.target)]
    assert all(s[2] * s[3] <= 25 for s in kernels)


@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_and_scales_into_the_convolution(bias):
    net = Net(
        lambda m, x: m.norm(m.conv(x)) * m.gamma / 3 - 0.5,
        conv=nn.Conv2d(4, 6, 3, groups=2, bias=bias),
        norm=drawn(nn.BatchNorm2d(6)),
        gamma=torch.rand(6, 1, 1),
    )
    done, _ = check(net, torch.randn(1, 4, 9, 9), applies="affine_into_what_precedes")
    assert operators(done) == ["conv2d"]


def test_an_affine_before_a_grouped_convolution():
    net = Net(lambda m, x: m.c(m.n(x)), n=drawn(nn.BatchNorm2d(8)), c=nn.Conv2d(8, 4, 1, groups=2))
    done, _ = check(net, torch.randn(1, 8, 5, 5), applies="affine_into_what_follows")
    assert operators(done) == ["conv2d"]


def test_a_shift_before_padding_stays():
    net = Net(lambda m, x: m.c(m.n(x)), n=drawn(nn.BatchNorm2d(4)), c=nn.Conv2d(4, 4, 3, padding=1))
    _, report = check(net, torch.randn(1, 4, 5, 5), applies="batch_norm_by_affine")
    assert any("padding" in why for _, _, why in report.refused)


def channels_last(m, x):
    y = m.dw(x).permute(0, 2, 3, 1)
    y = m.fc2(F.gelu(m.fc1(m.norm(y)))) * m.gamma
    return x + y.permute(0, 3, 1, 2)


def test_a_channels_last_block_keeps_its_layout():
    net = Net(
        channels_last,
        dw=nn.Conv2d(8, 8, 3, padding=1, groups=8),
        norm=drawn(nn.LayerNorm(8)),
        fc1=nn.Linear(8, 16),
        fc2=nn.Linear(16, 8),
        gamma=torch.rand(8),
    )
    done, _ = check(net, torch.randn(1, 8, 6, 5), applies="permute_past_linear")
    assert not {"permute", "linear", "layer_norm"} & set(operators(done))


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x.permute(0, 2, 3, 1).softmax(-2).permute(0, 3, 1, 2),
        lambda m, x: x.permute(0, 2, 3, 1).mean((1, 2)),
        lambda m, x: x.permute(0, 2, 3, 1).sum(-1),
        lambda m, x: torch.cat([x.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1).relu()], -1),
        lambda m, x: (x.permute(0, 2, 3, 1) * torch.arange(4.0).to(x)).permute(0, 3, 1, 2),
        lambda m, x: x.permute(0, 2, 3, 1)[:, 1:3, :, ::2],
        lambda m, x: x.flatten(2).transpose(1, 2).exp().transpose(1, 2).reshape(x.shape),
    ],
)
def test_permutes_move(function):
    check(Net(function), torch.randn(1, 4, 6, 5), applies=next(iter(applied(function))))


def applied(function):
    from check_rule import export

    from edgevit.converters.rewrites.rule import rewrite, rules

    layout = rules(("layout",))
    _, report = rewrite(export(Net(function), torch.randn(1, 4, 6, 5)), rules(("views",)) + layout)
    found = {r.name for r in layout} & set(report.applied)
    assert found
    return found


def attention(m, x):
    n, t, c = x.shape
    q, k, v = m.qkv(x).reshape(n, t, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
    return m.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c))


@FEW
@given(t=st.integers(1, 9), n=st.integers(1, 3), gain=st.sampled_from([1.0, 300.0]))
def test_attention(t, n, gain):
    """With a gain of 300 the softmax is saturated."""
    net = Net(attention, qkv=nn.Linear(8, 24), proj=nn.Linear(8, 8))
    net.qkv.weight.data *= gain**0.5
    done, report = check(net, torch.randn(n, t, 8), applies="attention_by_products", growth=32)
    assert report.applied["slice_of_product"] == 3
    used = set(operators(done))
    assert used <= {"linear", "reshape", "permute", "bmm", "softmax"}


def test_a_boolean_mask_is_left_alone():
    mask = torch.tril(torch.ones(5, 5)).bool()
    net = Net(lambda m, x: F.scaled_dot_product_attention(x, x, x, m.mask), mask=mask)
    x = torch.randn(1, 2, 5, 4)
    _, report = check(
        Net(lambda m, x: net(x.relu().flatten(2).reshape(x.shape)), net=net),
        x,
        applies="views_as_reshape",
    )
    assert any("boolean" in why for _, _, why in report.refused)


CASES = {
    "elu_by_clamps": lambda m, x: F.elu(x * 40, alpha=0.7),
    "softplus_by_log": lambda m, x: F.softplus(x * 40),
    "mish_by_log": lambda m, x: F.mish(x * 9),
    "length_by_product": lambda m, x: F.normalize(x, dim=1),
    "clamp_min_by_clamp": lambda m, x: x.clamp_min(0.1),
    "average_without_padding": lambda m, x: F.avg_pool2d(x, 3, 1, 1),
    "global_pool_by_mean": lambda m, x: F.adaptive_avg_pool2d(x, (3, 2)),
    "mean_over_pixels": lambda m, x: x.flatten(2).transpose(1, 2).mean(1),
    "sum_by_mean": lambda m, x: x.sum((2, 3)),
    "repeat_by_cat": lambda m, x: x.repeat(1, 2, 1, 3),
    "expands_removed": lambda m, x: x * x.mean(1, keepdim=True).expand_as(x),
    "numbers_as_tensors": lambda m, x: x - 1,
    "reversed_differences": lambda m, x: 1 - x,
    "strided_pick_by_convolution": lambda m, x: F.avg_pool2d(x, 1, 2),
    "softmax_along_the_last_axis": lambda m, x: x.softmax(1),
    "select_as_slice": lambda m, x: x[:, 1] + x[:, -1],
    "parts_as_slices": lambda m, x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "matmul_by_bmm": lambda m, x: x @ x.transpose(-1, -2),
    "copies_removed": lambda m, x: F.dropout(x, 0.5, m.training).contiguous().clone() + 1,
    "plain_slices": lambda m, x: x[:, :, 1::2, :-1],
    "blocks_repeated_by_cat": lambda m, x: (x.unflatten(1, (2, 2)) * x[:, :2].unsqueeze(1)).flatten(
        1, 2
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rule(name):
    check(Net(CASES[name]), torch.randn(1, 4, 6, 4), applies=name, growth=16)


def test_zeros_have_no_direction():
    check(Net(CASES["length_by_product"]), torch.zeros(1, 4, 6, 4), applies="length_by_product")


def test_a_repeat_of_a_convolution_goes_into_its_weights():
    net = Net(
        lambda m, x: m.b(x) * m.a(x).repeat(1, 3, 1, 1), a=nn.Conv2d(4, 5, 1), b=nn.Conv2d(4, 15, 1)
    )
    done, _ = check(net, torch.randn(1, 4, 6, 4), applies="repeat_by_wider_weights")
    assert "cat" not in operators(done)
