"""A vision transformer of two blocks: its softmaxes are peaky, the channels of its norms unlike."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from edgevit.preprocess import Preprocess


def net() -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(
        img_size=16, patch_size=4, embed_dim=32, depth=2, num_heads=2, num_classes=5
    )
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.bias, std=0.5)
            module.weight.data = torch.randn(len(module.weight)).exp()
    model.preprocess = Preprocess(16, 16, crop_fraction=1.0)
    return model
