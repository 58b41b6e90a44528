"""Which channels and heads hang together, and that what does not hold is left alone."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from timm.models.efficientformer import Attention as WideValues
from timm.models.mobilevit import LinearSelfAttention
from timm.models.shvit import SHSA
from timm.models.swin_transformer import PatchMerging
from torch import nn
from torch_pruning import DependencyGraph

from edgevit import models
from edgevit.errors import InputError
from edgevit.models.efficientmod import Modulation
from edgevit.transforms import prune_groups
from edgevit.transforms.prune_groups import groups_of
from edgevit.transforms.prune_narrow import without

# Family, pixels; what no rule holds of stays as it is.
FAMILIES = [
    ("mobilenetv2_100", 32),
    ("efficientnet_b0", 32),
    ("efficientmod_xxs", 64),
    ("deit_tiny", 32),
    ("timm:convnext_atto", 32),
    ("timm:poolformer_s12", 64),
    ("fastvit_t8", 64),
    ("edgevit_xxs", 64),
    ("timm:swin_s3_tiny_224", 224),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), FAMILIES)
def test_all_of_a_family_can_be_halved(name, side):
    model = models.build(name, num_classes=4, input_size=side)
    found, refused = groups_of(model.module, model.inputs)
    assert refused == {}
    narrow = without(model.module, [(g, range(0, g.units, 2)) for g in found])
    assert narrow(*model.inputs).shape == (1, 4)
    before, after = (sum(p.numel() for p in n.parameters()) for n in (model.module, narrow))
    assert after < 0.4 * before


def pruned_by_the_library(net, root, x):
    """torch-pruning's own way: half of the root's channels go, and all that it thinks goes too."""
    net = copy.deepcopy(net).requires_grad_(True)
    graph = DependencyGraph().build_dependency(net, example_inputs=x, verbose=False)
    layer = net.get_submodule(root)
    fn = graph.get_pruner_of_module(layer).prune_out_channels
    graph.get_pruning_group(layer, fn, [*range(layer.out_features // 2)]).prune()
    return net


@pytest.mark.filterwarnings("ignore:Unwrapped parameters")
def test_heads_of_timm_where_the_library_takes_channels():
    model = models.build("deit_tiny", num_classes=4, input_size=32)
    with pytest.raises(RuntimeError, match="is invalid for input of size"):
        pruned_by_the_library(model.module, "blocks.0.attn.qkv", *model.inputs)(*model.inputs)
    heads = next(g for g in groups_of(model.module, model.inputs)[0] if g.kind == "heads")
    narrow = without(model.module, [(heads, [1])]).get_submodule(heads.name)
    assert (narrow.num_heads, narrow.attn_dim, narrow.qkv.out_features) == (1, 64, 192)
    kept = model.module.get_submodule(heads.name).qkv.weight.view(3, 3, 64, -1)[:, 1]
    assert torch.equal(narrow.qkv.weight.view(3, 64, -1), kept)


def test_repeated_channels_where_the_library_takes_both_for_unrelated():
    torch.manual_seed(0)
    net, x = nn.Sequential(Modulation(8, 3), nn.Linear(8, 4)).eval(), torch.randn(1, 5, 5, 8)
    with pytest.raises(RuntimeError):
        pruned_by_the_library(net, "0.context_layer.g", x)(x)
    found, refused = groups_of(net, (x,))
    context = next(g for g in found if g.name == "0")
    assert refused == {}
    assert [row[:3] for row in context.cuts[0].rows[:2]] == [(0, 8, 16), (1, 9, 17)]


@pytest.mark.filterwarnings("ignore:Unwrapped parameters")
def test_keys_and_values_where_the_library_takes_a_key_and_another_channels_value():
    torch.manual_seed(0)
    net = nn.Sequential(LinearSelfAttention(8), nn.Flatten(), nn.Linear(48, 4)).eval()
    x = torch.randn(1, 8, 2, 3)
    cut = copy.deepcopy(net).requires_grad_(True)
    graph = DependencyGraph().build_dependency(cut, example_inputs=x, verbose=False)
    fn = graph.get_pruner_of_module(cut[0].qkv_proj).prune_out_channels
    graph.get_pruning_group(cut[0].qkv_proj, fn, [1]).prune()
    with pytest.raises(RuntimeError):
        cut(x)
    found, _ = groups_of(net, (x,))
    (keys,) = [g for g in found if g.name == "0"]
    assert keys.cuts[0].rows[:2] == ((1, 9), (2, 10))
    narrow = without(net, [(keys, [0, 5])])
    assert (narrow[0].qkv_proj.out_channels, narrow[0].out_proj.in_channels) == (5, 2)


def test_heads_of_wide_values_where_the_library_takes_places_of_all_heads():
    torch.manual_seed(0)
    attention = WideValues(8, key_dim=2, num_heads=4, attn_ratio=2, resolution=2)
    nn.init.normal_(attention.attention_biases)
    net, x = nn.Sequential(attention, nn.Linear(8, 3)).eval(), torch.randn(1, 4, 8)
    with pytest.raises(RuntimeError):
        pruned_by_the_library(net, "0.qkv", x)(x)
    heads = next(g for g in groups_of(net, (x,))[0] if g.kind == "heads")
    assert heads.cuts[0].rows[1] == tuple(range(8, 16))
    net.requires_grad_(False)(x)  # it keeps biases by position from now on
    assert without(net, [(heads, [0, 3])])(x).shape == (1, 4, 3)


def test_a_reshape_where_the_library_divides_by_no_channels():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 1), SHSA(16, 4, 8), nn.Conv2d(16, 2, 1)).eval()
    x = torch.randn(1, 3, 2, 2)
    with pytest.raises(ZeroDivisionError):
        DependencyGraph().build_dependency(
            copy.deepcopy(net).requires_grad_(True), example_inputs=x, verbose=False
        )
    found, refused = groups_of(net, (x,))
    assert [g.name for g in found] == ["1.proj.1.c"]
    assert refused == {"0": "its channels go in lots of unlike size"}


@pytest.mark.slow
def test_reshapes_where_the_library_goes_round_without_an_end():
    model = models.build("efficientformerv2_s0", num_classes=4, input_size=64)
    found, refused = groups_of(model.module, model.inputs)
    assert "finds no end" in refused["stages.3.blocks.3.token_mixer.v.conv"]
    narrow = without(model.module, [(g, range(0, g.units, 2)) for g in found])
    assert narrow(*model.inputs).shape == (1, 4)
    before, after = (sum(p.numel() for p in n.parameters()) for n in (model.module, narrow))
    assert after < 0.4 * before


def test_merged_positions_where_the_library_takes_others():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), PatchMerging(8), nn.Linear(16, 4)).eval()
    x = torch.randn(1, 4, 4, 8)
    with pytest.raises((RuntimeError, IndexError)):
        pruned_by_the_library(net, "0", x)(x)
    found, refused = groups_of(net, (x,))
    assert refused == {}
    (merged,) = [c for c in found[0].cuts if c.tensor == "1.reduction.weight"]
    assert merged.rows[:2] == ((0, 8, 16, 24), (1, 9, 17, 25))


def test_two_written_for_each_channel_read_where_the_library_takes_them_for_unrelated():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(8, 16, 3, groups=8),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 48, 3, groups=16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(48, 5),
    ).eval()
    x = torch.randn(1, 3, 5, 5)
    (group,), refused = groups_of(net, (x,))
    assert (refused, group.units) == ({}, 8)
    rows = {c.tensor: c.rows[1] for c in group.cuts}
    assert rows["0.weight"] == (1,)
    assert rows["2.running_mean"] == (2, 3)
    assert rows["6.weight"] == (6, 7, 8, 9, 10, 11)
    narrow = without(net, [(group, [0, 2, 5])])
    assert (narrow[1].groups, narrow[3].groups, narrow[3].out_channels) == (3, 6, 18)
    assert narrow(x).shape == (1, 5)


class Fixed(nn.Module):
    """Its code counts its channels itself."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(4, 2)

    def forward(self, x):
        y = self.a(x)
        return self.b(y[..., :4] * y[..., 4:8])


def test_what_does_not_hold_is_refused_and_says_why():
    torch.manual_seed(0)
    found, refused = groups_of(Fixed().eval(), (torch.randn(2, 4),))
    assert found == []
    assert refused == {"a": "its channels go in lots of unlike size"}


def test_a_group_that_lacks_a_member_or_mixes_units_does_not_hold():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.Flatten()
    )
    net, x = net.double().eval(), torch.randn(1, 3, 2, 2).double()
    (group,), _ = groups_of(net.float(), (x.float(),))
    net = net.double()

    def wrong(group):
        with torch.no_grad():
            return prune_groups._wrong(net, group, (x,), net(x))

    assert wrong(group) is None
    lacking = replace(group, cuts=tuple(c for c in group.cuts if c.tensor != "1.weight"))
    assert "does not run" in wrong(lacking)
    last = group.cuts[-1]
    assert last.tensor == "3.weight"
    for rows in (last.rows[1:] + last.rows[:1], last.rows[2:] + last.rows[:2]):
        turned = replace(last, rows=rows)
        assert "something else" in wrong(replace(group, cuts=(*group.cuts[:-1], turned)))


def test_convolutions_of_many_groups_keep_their_channels_and_norms_may_lack_a_bias():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=2), nn.Flatten())
    net.append(nn.Linear(72, 4))
    found, refused = groups_of(net.eval(), (torch.randn(1, 3, 5, 5),))
    assert {g.name for g in found} & {"0"} == set()
    assert "0" in refused
    net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8, bias=False), nn.Linear(8, 2)).eval()
    assert [g.name for g in groups_of(net, (torch.randn(2, 4),))[0]] == ["0"]


def test_a_stride_of_as_many_as_there_are_channels_stays():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, (8, 1), stride=(8, 1)), nn.Flatten(), nn.Linear(16, 2))
    found, refused = groups_of(net.eval(), (torch.randn(1, 1, 16, 1),))
    assert ([g.units for g in found], refused) == ([8], {})


class Writing(nn.Module):
    """It runs, and nothing can be traced through it."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 8)

    def forward(self, x):
        self.a.bias.mul_(1.0)  # here
        return self.a(x)


def test_what_cannot_be_traced_names_the_line():
    lines = Path(__file__).read_text().splitlines()
    line = next(i for i, text in enumerate(lines, 1) if text.endswith("  # here"))
    with pytest.raises(InputError, match=rf"traced at .*groups.py:{line} .*in-place operation"):
        groups_of(Writing().eval(), (torch.randn(2, 4),))
