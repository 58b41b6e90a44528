"""DeiT-S as deep and of as many heads, each half as wide: small enough to learn digits here."""

from timm.models.vision_transformer import VisionTransformer

from edgevit.preprocess import Preprocess


def deit_small_narrow(num_classes: int = 1000, input_size: int = 224) -> VisionTransformer:
    """[B, 3, input_size, input_size] → [B, num_classes]; widths of heads 32, of tokens 192."""
    net = VisionTransformer(
        img_size=input_size, embed_dim=192, depth=12, num_heads=6, num_classes=num_classes
    )
    net.preprocess = Preprocess(input_size, input_size)
    return net
