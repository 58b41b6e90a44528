"""Random weights: no branch at zero, values of ordinary size at any depth, the same everywhere."""

import pytest
import timm
import torch
from torch import nn

from edgevit.models import build
from edgevit.models.drawn import draw
from edgevit.weights import digest


def test_what_timm_starts_at_zero_is_drawn():
    zero = [n for n, p in timm.create_model("test_resnet").named_parameters() if not p.any()]
    assert any(name.endswith("bn2.weight") for name in zero)
    drawn = dict(build("timm:test_resnet").module.named_parameters())
    assert all(drawn[name].abs().min() > 0 for name in zero)


def test_a_norm_meets_what_its_statistics_say_at_any_depth():
    net = nn.Sequential(*(nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)) for _ in range(8)))
    for p in net.parameters():
        p.data *= 10
    draw(net, torch.Size((1, 8, 32, 32)), seed=0)
    assert 0.2 < net(torch.randn(4, 8, 32, 32)).std() < 5
    assert not any(m.training or m._forward_pre_hooks for m in net.modules())


def test_the_order_of_summing_changes_nothing():
    threads = torch.get_num_threads()
    one = digest(build("timm:test_efficientnet").module)
    try:
        torch.set_num_threads(1)
        with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):
            assert digest(build("timm:test_efficientnet").module) == one
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("form", ["weight", "bias", "running_mean", "running_var"])
def test_a_users_own_model_stays_as_it_is(form, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\ndef net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))\n"
    )
    norm = build(f"{file}:net", input_size=8).module[1]
    assert torch.equal(getattr(norm, form), getattr(nn.BatchNorm2d(4), form))
