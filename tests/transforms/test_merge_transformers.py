"""Token merging inside transformers' video and audio models, of their own code."""

import pytest
import torch

from edgevit.transforms.merge import merged, merging_of

transformers = pytest.importorskip("transformers")
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


def video():
    config = transformers.VideoMAEConfig(image_size=48, num_frames=4, num_labels=5, **SMALL)
    return transformers.VideoMAEForVideoClassification(config), torch.randn(2, 4, 3, 48, 48)


def audio():
    config = transformers.ASTConfig(max_length=64, num_mel_bins=32, num_labels=5, **SMALL)
    return transformers.ASTForAudioClassification(config), torch.randn(2, 64, 32)


@pytest.mark.parametrize("family", [video, audio])
def test_both_forms_agree_and_nothing_merged_is_the_model_itself(family):
    torch.manual_seed(0)
    model, x = family()
    model.eval()
    for parameter in model.parameters():  # biases and norms start as if they were not there
        torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        plain = model(x).logits
        torch.testing.assert_close(merged(model, 0)(x).logits, plain, rtol=0, atol=2e-6)
        found = merged(model, [3, 0, 2])
        expected = merged(model, [3, 0, 2], form="indices")(x).logits
        torch.testing.assert_close(found(x).logits, expected, rtol=0, atol=2e-6)
        assert (expected - plain).abs().max() > 1e-4
    assert merging_of(found)[0].counts == [3, 0, 2]


def test_the_tokens_that_audio_ends_with_stay():
    assert merging_of(merged(audio()[0].eval(), 1))[0].protected == 2
    assert merging_of(merged(video()[0].eval(), 1))[0].protected == 0
