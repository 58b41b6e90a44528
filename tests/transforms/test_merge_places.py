"""Token merging where places matter: rotary and relative positions, stages of hybrids."""

import pytest
import torch

from edgevit import convert
from edgevit.errors import InputError
from edgevit.models.efficientmod import EfficientMod, Shape
from edgevit.recipe import Recipe
from edgevit.transforms.merge import merged, merging_of

timm = pytest.importorskip("timm")


def drawn(model):
    """Norms, biases and scales start as if they were not there."""
    torch.manual_seed(0)
    for name, p in model.named_parameters():
        if p.ndim < 4:
            mean = 0.7 if "norm" in name and name.endswith("weight") else 0
            torch.nn.init.normal_(p, mean=mean, std=0.1)
    return model.eval()


def vit(name):
    return drawn(timm.create_model(name, img_size=64, depth=3, patch_size=16, num_classes=7))


def hybrid():
    return drawn(EfficientMod(Shape((16, 32, 64, 64), (1, 1, 1, 1), (0, 0, 2, 1)), classes=7))


def former():
    return drawn(timm.create_model("efficientformer_l3", num_classes=7))


FAMILIES = {
    "rope, pairs": (lambda: vit("eva02_tiny_patch14_224"), 64),
    "rope, fused qkv": (lambda: vit("vit_small_patch16_rope_224"), 64),
    "rope, halves, registers": (lambda: vit("vit_small_patch16_dinov3"), 64),
    "EfficientMod": (hybrid, 128),
    "EfficientFormer": (former, 224),
}


@pytest.fixture(params=FAMILIES)
def case(request):
    build, side = FAMILIES[request.param]
    torch.manual_seed(0)
    return build(), torch.nn.functional.interpolate(4 * torch.randn(2, 3, 8, 8), side)


def test_both_forms_agree_and_nothing_merged_is_the_model_itself(case):
    model, images = case
    with torch.no_grad():
        plain = model(images)
        within = {"rtol": 0, "atol": 2e-6 * plain.abs().max().item() + 2e-6}
        torch.testing.assert_close(merged(model, 0, inputs=[images])(images), plain, **within)
        found = merged(model, 3, inputs=[images])(images)
        expected = merged(model, 3, inputs=[images], form="indices")(images)
    torch.testing.assert_close(found, expected, **within)
    assert (found - plain).abs().max() > 5 * within["atol"]


def test_stages_merge_for_themselves_and_give_the_grid_back():
    model, images = hybrid(), torch.randn(1, 3, 128, 128)
    net = merged(model, [9, 5, 3], inputs=[images])
    assert [b.counts for b in merging_of(net)] == [[9, 5], [3]]
    shapes = []
    for blocks in merging_of(net):
        blocks.register_forward_hook(
            lambda _m, given, out: shapes.append((given[0].shape, out.shape))
        )
    with torch.no_grad():
        net(images)
    assert shapes == [((1, 8, 8, 64),) * 2, ((1, 4, 4, 64),) * 2]
    with pytest.raises(InputError, match="each of the 3 layers"):
        merged(model, [9, 5], inputs=[images])
    with pytest.raises(InputError, match="images of any size"):
        merged(model, 3)


def test_equal_tokens_merged_and_restored_are_what_they_were():
    """Of an image of one colour each place's tokens are equal: merging them may change nothing."""
    model = hybrid()
    blocks = merging_of(merged(model, 6, inputs=[torch.zeros(1, 3, 128, 128)]))[0]
    token = torch.randn(1, 1, 1, 64).expand(1, 8, 8, 64)
    with torch.no_grad():
        expected = token
        for block in blocks.blocks:
            expected = block(expected)
        torch.testing.assert_close(blocks(token), expected, rtol=0, atol=5e-6)


@pytest.mark.slow
@pytest.mark.needs("executorch", "litert_torch", "onnxruntime", "onnxscript")
@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"rope, fused qkv"}))
def test_runtimes_compute_it_in_one_delegate(tmp_path, family):
    build, side = FAMILIES[family]
    model = build(), (torch.randn(1, 3, side, side),)
    made = convert(
        Recipe("net", tome=2), to=["executorch", "tflite", "onnx"], out=tmp_path, model=model
    )
    assert [str(o.error) for o in made if o.error] == []
    for one in made[:2]:
        placed = one.artifact.card.placement
        assert (placed.partitions, placed.outside) == (1, {})
