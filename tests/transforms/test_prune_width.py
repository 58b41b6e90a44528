"""The width of all heads of an attention, alone and with whole heads."""

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from edgevit.transforms.prune_budget import Costs, Layer
from edgevit.transforms.prune_groups import groups_of
from edgevit.transforms.prune_importance import MEASURES
from edgevit.transforms.prune_narrow import without
from edgevit.transforms.prune_rebuild import rebuild
from edgevit.transforms.prune_structure import restructured, structure

HEADS, WIDTH = 3, 16


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    size = {"img_size": 32, "patch_size": 16, "embed_dim": HEADS * WIDTH, "num_classes": 5}
    return VisionTransformer(**size, depth=2, num_heads=HEADS).eval()


@pytest.fixture(scope="module")
def groups(net):
    found, _ = groups_of(net, [torch.randn(1, 3, 32, 32)])
    return {group.name: group for group in found}


def halved(net, groups):
    chosen = [groups["blocks.0.attn.qkv"], groups["blocks.0.attn"]]
    kept = [(chosen[0], range(0, WIDTH, 2)), (chosen[1], [0, 2])]
    return without(net, kept), kept


def test_heads_and_their_width_go_together(net, groups):
    assert groups["blocks.1.attn.qkv"].kind == "width"
    made, _ = halved(net, groups)
    attention = made.blocks[0].attn
    assert (attention.num_heads, attention.head_dim) == (2, 8)
    assert attention.qkv.weight.shape == (3 * 2 * 8, HEADS * WIDTH)
    again = restructured(net, structure(made, net))
    again.load_state_dict(made.state_dict())
    x = torch.randn(2, 3, 32, 32)
    aim = made(x)
    assert torch.equal(again(x), aim)
    attention.fused_attn = False  # products scaled by a number of its own
    torch.testing.assert_close(made(x), aim)


def test_places_that_are_nothing_may_go_and_the_answers_stay(net, groups):
    """In queries, keys and values of one head each place j; the scale is that of the whole."""
    group = groups["blocks.0.attn.qkv"]
    empty, gone = restructured(net, structure(net, net)), range(12, WIDTH)
    empty.load_state_dict(net.state_dict())
    with torch.no_grad():
        rows = [i for cut in group.cuts if cut.axis == 0 for u in gone for i in cut.rows[u]]
        for tensor in (empty.blocks[0].attn.qkv.weight, empty.blocks[0].attn.qkv.bias):
            tensor[rows] = 0.0
    x = torch.randn(2, 3, 32, 32)
    made = without(empty, [(group, range(12))])
    torch.testing.assert_close(made(x), empty(x))
    scores = MEASURES["fisher"](empty, [group], [(x[:1], None), (x[1:], None)])[group.name]
    assert scores[12:].max() == 0
    assert scores[:12].min() > 0


def test_rebuilt_it_is_nearer_to_the_whole(net, groups):
    made, kept = halved(net, groups)
    x, y = torch.randn(64, 3, 32, 32), torch.randn(64, 3, 32, 32)
    before = (made(y) - net(y)).square().mean()
    rebuild(made, net, kept, x)
    assert (made(y) - net(y)).square().mean() < 0.9 * before


def test_what_they_cost_together_is_their_product(net, groups):
    chosen = [groups["blocks.0.attn.qkv"], groups["blocks.0.attn"]]
    layer = Layer(("blocks.0.attn.qkv.weight",), (0.0, 1.0), (0.0, 1.0))
    costs = Costs(net, chosen, [layer])
    kept = {chosen[0].name: WIDTH // 4, chosen[1].name: 1}
    assert costs.of(kept) == pytest.approx(1 / 4 / HEADS)
