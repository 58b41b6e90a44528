"""Token merging inside timm's own vision transformers."""

import pytest
import torch

from edgevit import convert
from edgevit.errors import InputError
from edgevit.recipe import Recipe, per_layer
from edgevit.transforms.merge import merged, merging_of
from edgevit.transforms.merging_blocks import schedule

timm = pytest.importorskip("timm")


def net(name="deit_tiny_patch16_224", **more):
    torch.manual_seed(0)
    more = {"img_size": 48, "depth": 3, "num_classes": 7, **more}
    return timm.create_model(name, **more).eval()


@pytest.fixture(
    params=[{}, {"class_token": False, "global_pool": "avg"}, {"reg_tokens": 3}, {"qk_norm": True}]
)
def model(request):
    return net(**request.param)


def test_both_forms_agree_and_nothing_merged_is_the_model_itself(model):
    images = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        plain = model(images)
        torch.testing.assert_close(merged(model, 0)(images), plain, rtol=0, atol=2e-6)
        found = merged(model, [2, 0, 9])(images)
        expected = merged(model, [2, 0, 9], form="indices")(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    assert (found - plain).abs().max() > 1e-3
    assert len(list(model.blocks)) == 3  # the model itself is as it was


def test_both_tokens_of_a_distilled_model_stay_in_front():
    model = merged(net("deit_tiny_distilled_patch16_224"), [2, 2, 1])
    mask = merging_of(model)[0].merging[0].mask  # 9 patches and two tokens: 6 in A, 5 in B
    assert (mask < 0).sum() == 6 + 5 - 1
    made_of = [torch.eye(11)[None]]

    def follow(merging, given, _out):
        made_of.append(merging.forward(made_of[-1], *given[1:])[0])

    for merging in merging_of(model)[0].merging:
        merging.register_forward_hook(follow)
    with torch.no_grad():
        assert model(torch.randn(1, 3, 48, 48)).shape == (1, 7)
    assert made_of[-1].shape == (1, 6, 11)
    assert torch.equal(made_of[-1][:, :2], made_of[0][:, :2])


def test_a_model_in_training_is_refused():
    with pytest.raises(InputError, match="training mode"):
        merged(net().train(), 1)


def test_schedules():
    assert per_layer(13, 12) == [13] * 12
    assert per_layer("26..0", 12) == [26, 24, 21, 19, 17, 14, 12, 9, 7, 5, 2, 0]  # 13 on average
    assert (per_layer("3..5", 3), per_layer("4..0", 1)) == ([3, 4, 5], [4])
    assert schedule(197, [100, 0, 100], protected=1) == [98, 0, 49]  # no more than half
    for wrong in ([1, 2], -1):
        with pytest.raises(InputError, match="one for each of the 3 layers"):
            per_layer(wrong, 3)


def test_strict_refuses_more_than_half():
    assert schedule(197, [98, 0, 49], protected=1, strict=True) == [98, 0, 49]
    with pytest.raises(InputError, match=r"layer 2 has 99 tokens, of which at most 49 .* not 50"):
        schedule(197, [98, 0, 50], protected=1, strict=True)
    with pytest.raises(InputError, match="at most 4 can merge, not 5"):
        merged(net(), 5, strict=True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test_resnet", "in ResNet.*no `blocks` behind patches.*no attention anywhere"),
        ("test_efficientnet", "no attention anywhere"),
        (
            "swin_tiny_patch4_window7_224",
            r"layers\.0.*a WindowAttention with .*a relative-position",
        ),
        ("vit_relpos_small_patch16_224", r"blocks\.0, .*it has a relative-position bias"),
        ("vit_small_patch16_rope_mixed_224", r"\(mixed\), which cannot"),
        ("mixer_s32_224", "in MlpMixer.*no attention anywhere"),
    ],
)
def test_models_without_such_blocks_are_named_with_what_was_looked_at(name, words):
    with torch.device("meta"):
        model = timm.create_model(name).eval()
    with pytest.raises(InputError, match=words):
        merged(model, 3)


def test_a_model_that_returns_all_its_tokens_gets_them_back():
    model = net(num_classes=0, global_pool="", reg_tokens=2)
    images = torch.randn(2, 3, 48, 48)
    blocks = merging_of(merged(model, 2))[0]
    with torch.no_grad():
        found = merged(model, 2)(images)
        expected = merged(model, 2, form="indices")(images)
    assert blocks.restored
    assert found.shape == model(images).shape == (2, 12, 192)
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-6)
    places = found[:, 3:].flatten(0, 1)
    assert len(places.unique(dim=0)) < len(places)  # those that merged share what came of them
    inside = torch.nn.Sequential(net()).eval()
    assert merging_of(merged(inside, 2))[0].restored  # who knows what reads it


def test_what_reads_block_by_block_is_refused():
    reader = timm.create_model("test_vit", features_only=True).eval()
    with pytest.raises(InputError, match="features_only is read block by block"):
        merged(reader, 1)


@pytest.mark.slow
@pytest.mark.needs("executorch", "litert_torch", "onnxruntime", "onnxscript")
def test_runtimes_compute_it_in_one_delegate(tmp_path):
    model = net(), (torch.randn(1, 3, 48, 48),)
    targets = ["executorch", "tflite", "onnx"]
    made = convert(Recipe("net", tome=2), to=targets, out=tmp_path, model=model)
    assert [str(o.error) for o in made if o.error] == []
    assert {o.artifact.card.agreement.status for o in made} == {"agrees"}
    for one in made[:2]:
        assert one.artifact.card.model["merged"] == [2, 2, 2]
        assert (one.artifact.card.placement.partitions, one.artifact.card.placement.outside) == (
            1,
            {},
        )
