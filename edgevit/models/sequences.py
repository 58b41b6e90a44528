"""The transformers that a paper on token merging takes for video and audio, from Hugging Face.

video   VideoMAE, ViT-L: 16 frames of 224 × 224, 8 · 14 · 14 tokens
audio   AST, ViT-B on 1024 × 128 mel bins, patches that do not overlap: 64 · 8 + 2 tokens
"""

from typing import Any

import torch
from torch import Tensor, nn

VIDEO, AUDIO = "MCG-NJU/videomae-large-finetuned-kinetics", "MIT/ast-finetuned-audioset-16-16-0.442"


class Logits(nn.Module):
    """A transformers model that returns its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).logits  # type: ignore[no-any-return]


def video(pretrained: bool = False) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """ViT-L of VideoMAE with Kinetics-400's classes; pretrained: downloads its weights."""
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    large: dict[str, Any] = {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "num_labels": 400,
    }
    config = VideoMAEConfig(**large)
    return _made(VideoMAEForVideoClassification, config, pretrained and VIDEO), (
        torch.randn(1, 16, 3, 224, 224),
    )


def audio(pretrained: bool = False) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """ViT-B of AST with AudioSet's classes; pretrained: downloads its weights."""
    from transformers import ASTConfig, ASTForAudioClassification

    apart: dict[str, Any] = {"frequency_stride": 16, "time_stride": 16, "num_labels": 527}
    config = ASTConfig(**apart)
    return _made(ASTForAudioClassification, config, pretrained and AUDIO), (
        torch.randn(1, 1024, 128),
    )


def _made(kind: Any, config: Any, weights: str | bool) -> nn.Module:
    return Logits(kind.from_pretrained(weights) if weights else kind(config))
