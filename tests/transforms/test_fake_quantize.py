"""Nets in 8 bits while they train: the steps, their gradients, and that nothing stays behind."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgevit.errors import InputError
from edgevit.transforms.fake_quantize import FakeQuantized
from edgevit.transforms.finetune import finetune


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
        self.act, self.deep = nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8)
        self.head = nn.Parameter(torch.randn(5, 8))  # read by F.linear, as in some attentions

    def forward(self, x):
        x = self.deep(self.act(self.norm(self.conv(x))))
        return F.linear(x.mean((2, 3)), self.head)


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = Net().eval()
    with torch.no_grad():
        net.norm.weight.copy_(torch.linspace(0.1, 4, 8))
        net.norm.bias.normal_()
        net.norm.running_mean.normal_()
        net.norm.running_var.uniform_(0.2, 3)
    return net


X = torch.randn(16, 8, 8, 8, generator=torch.Generator().manual_seed(1))


def steps_of(net, precision="w8a8"):
    made = FakeQuantized(net, precision)
    made.watch(X.split(4))
    return made


def test_folding_a_batch_norm_moves_no_step(net):
    folded = copy.deepcopy(net)
    folded.conv, folded.norm = fuse_conv_bn_eval(net.conv, net.norm), nn.Identity()
    found, other = steps_of(net)(X), steps_of(folded)(X)
    noise = (found - net(X)).abs().mean()
    assert noise > 1e-3
    assert (found - other).abs().mean() < 0.05 * noise


def test_what_a_norm_and_a_clip_read_is_rounded_behind_them(net):
    seen = []
    net.act.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    net.deep.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    steps_of(net)(X)
    clipped, read = seen[-2:]
    assert len(clipped.unique()) > 1000
    assert len(read.unique()) <= 256
    assert torch.equal(read.amin(), torch.tensor(0.0))


def test_weights_have_127_steps_each_way_of_a_channel():
    torch.manual_seed(0)
    net = nn.Linear(64, 4)
    with torch.no_grad():
        net.weight *= torch.tensor([[1.0], [10], [100], [1000]])
        found = FakeQuantized(net, "dyn8")(torch.eye(64)) - net.bias
    for rounded, row in zip(found.T, net.weight, strict=True):
        step = row.abs().max() / 127
        torch.testing.assert_close(rounded / step, (rounded / step).round(), atol=1e-3, rtol=0)
        assert (rounded - row).abs().max() <= 0.51 * step


def test_dyn8_rounds_each_picture_by_itself_and_no_convolution(net):
    net.head.data.normal_(generator=torch.Generator().manual_seed(2))
    many = FakeQuantized(net, "dyn8")(X * torch.logspace(-2, 2, 16).reshape(-1, 1, 1, 1))
    ones = [
        FakeQuantized(net, "dyn8")(x[None])
        for x in X * torch.logspace(-2, 2, 16)[:, None, None, None]
    ]
    torch.testing.assert_close(many, torch.cat(ones))
    convolutions = nn.Sequential(net.conv, net.norm).eval()
    assert torch.equal(FakeQuantized(convolutions, "dyn8")(X), convolutions(X))
    assert not torch.equal(FakeQuantized(net, "dyn8")(X), net(X))


def test_gradients_pass_straight_through_and_not_beyond_the_range():
    torch.manual_seed(0)
    net = nn.Linear(6, 4)
    made = FakeQuantized(net, "w8a8")
    made.watch([torch.linspace(-1, 1, 12).reshape(2, 6)])
    x = torch.tensor([[0.5, -0.5, 0.1, 3.0, -3.0, 0.0]], requires_grad=True)
    made(x).sum().backward()
    torch.testing.assert_close(x.grad[0, :3], net.weight.sum(0)[:3], atol=0.05, rtol=0)
    assert x.grad[0, 3:5].tolist() == [0, 0]
    assert net.weight.grad[:, 0].allclose(torch.tensor(0.5), atol=0.01)


def labelled(epoch):
    return [(X, torch.arange(16) % 5)]


def test_nothing_stays_behind(net):
    before = copy.deepcopy(net)
    made = steps_of(net)
    finetune(made, labelled, steps=1, epochs=2, rate=0.0, before_step=lambda done: made.eval())
    assert list(net.state_dict()) == list(before.state_dict())
    for a, b in zip(net.state_dict().values(), before.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(net(X), before(X))
    assert [type(m) for m in net.modules()] == [type(m) for m in before.modules()]


def test_training_in_8_bits_comes_nearer_to_the_net_itself(net):
    with torch.no_grad():
        net.deep.weight[3] *= 300  # one range for all channels: the others have a step or two
    teacher = copy.deepcopy(net)
    made = steps_of(net)

    def off():
        made.watch([X])
        with torch.no_grad():
            aim = teacher(X).log_softmax(-1)
            return float(
                F.kl_div(made(X).log_softmax(-1), aim, reduction="batchmean", log_target=True)
            )

    first = off()
    finetune(
        made,
        lambda epoch: made.eval().watch([X]) or [(X, None)],
        steps=1,
        epochs=60,
        rate=3e-3,
        teacher=teacher,
        before_step=lambda done: made.eval(),
    )
    assert off() < 0.5 * first


def test_a_rate_too_high_says_so(net):
    made = steps_of(net)
    with pytest.raises(InputError, match="lower the rate"):
        finetune(
            made,
            lambda epoch: made.watch([X]) or labelled(epoch),
            steps=1,
            epochs=9,
            rate=1e30,
            before_step=lambda done: made.eval(),
        )


def test_a_pictures_few_channels_are_convolved_in_float():
    torch.manual_seed(0)
    net, picture = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten()), torch.randn(4, 3, 8, 8)
    made = FakeQuantized(net, "w8a8")
    made.watch([picture])
    assert torch.equal(made(picture), net(picture))
