"""Small nets, each with one thing that a rule may or may not make faster on a given runtime.

A thing stands where it stands in a backbone, between the layers it is fed by and feeds, since a
runtime's transposes and partition boundaries around it are part of what it costs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from edgevit.transforms.merge_forms import Merging


class Net(nn.Module):
    """A module from a function of (module, x) and the layers it uses."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


@dataclass(frozen=True)
class Case:
    """forms: rules of which at most one is used. shape: of the input."""

    forms: tuple[str, ...]
    net: Callable[[], nn.Module]
    shape: tuple[int, ...]


def _between(middle: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> Net:
    """1×1 convolution, `middle`, 1×1 convolution."""
    return Net(
        lambda m, x: m.after(middle(m, m.before(x))),
        before=nn.Conv2d(64, 64, 1),
        after=nn.Conv2d(64, 64, 1),
        **layers,
    )


def _attention(m: Any, x: Tensor) -> Tensor:
    n, t, c = x.shape
    q, k, v = m.qkv(x).reshape(n, t, 3, 3, c // 3).permute(2, 0, 3, 1, 4).unbind(0)
    y = F.scaled_dot_product_attention(q, k, v)
    return m.proj(y.transpose(1, 2).reshape(n, t, c))


def _attention_net() -> Net:
    return Net(_attention, qkv=nn.Linear(192, 576), proj=nn.Linear(192, 192))


def _residual_mlps(m: Any, x: Tensor) -> Tensor:
    x = m.stem(x)
    for mlp in m.mlps:
        x = x + mlp(x)
    return cast(Tensor, m.head(x))


def _residual_net() -> Net:
    c = 192
    mlps = [
        nn.Sequential(nn.LayerNorm(c), nn.Linear(c, 2 * c), nn.GELU(), nn.Linear(2 * c, c))
        for _ in range(3)
    ]
    head = nn.Sequential(nn.LayerNorm(c), nn.Linear(c, c))
    return Net(_residual_mlps, stem=nn.Linear(c, c), mlps=nn.ModuleList(mlps), head=head)


def _channels_last(norm: nn.Module) -> Net:
    return Net(
        lambda m, x: x + m.mlp(m.norm(m.dw(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2),
        dw=nn.Conv2d(64, 64, 3, padding=1, groups=64),
        norm=norm,
        mlp=nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)),
    )


def _repeated_context(m: Any, x: Tensor) -> Tensor:
    return m.fc2(F.gelu(m.fc1(x)) * m.context(x).repeat(1, 6, 1, 1))


def _merged(m: Any, x: Tensor) -> Tensor:
    y = m.before(x)
    return cast(Tensor, m.after(m.merging(y, y[..., :64], x[..., :1] * 0 + 1)[0]))


TOKENS, MAP = (1, 197, 192), (1, 64, 28, 28)

CASES = (
    Case(
        ("merge_by_products", "merge_by_topk"),
        lambda: Net(
            _merged,
            before=nn.Linear(192, 192),
            merging=Merging(197, 13, 1),
            after=nn.Linear(192, 192),
        ),
        TOKENS,
    ),
    Case(
        ("depthwise_in_rows",),
        lambda: _between(lambda m, x: m.dw(x), dw=nn.Conv2d(64, 64, 7, padding=3, groups=64)),
        MAP,
    ),
    Case(
        ("layer_norm_by_products",),
        lambda: nn.Sequential(nn.Linear(192, 192), nn.LayerNorm(192), nn.Linear(192, 192)),
        TOKENS,
    ),
    Case(("layer_norm_by_convolutions",), lambda: _channels_last(nn.LayerNorm(64)), MAP),
    Case(("stream_centred",), _residual_net, TOKENS),
    Case(
        ("rms_norm_by_products",),
        lambda: nn.Sequential(nn.Linear(192, 192), nn.RMSNorm(192), nn.Linear(192, 192)),
        TOKENS,
    ),
    Case(
        ("group_norm_by_means",), lambda: _between(lambda m, x: m.n(x), n=nn.GroupNorm(1, 64)), MAP
    ),
    Case(("permute_past_linear",), lambda: _channels_last(nn.Identity()), MAP),
    Case(("convolution_after_norm",), lambda: _channels_last(nn.LayerNorm(64)), MAP),
    Case(("attention_by_products",), _attention_net, TOKENS),
    Case(("slice_of_product",), _attention_net, TOKENS),
    Case(
        ("repeat_by_branches", "repeat_by_wider_weights"),
        lambda: Net(
            _repeated_context,
            fc1=nn.Conv2d(64, 384, 1),
            context=nn.Conv2d(64, 64, 1),
            fc2=nn.Conv2d(384, 64, 1),
        ),
        MAP,
    ),
    Case(
        ("average_without_padding",), lambda: _between(lambda m, x: F.avg_pool2d(x, 3, 1, 1)), MAP
    ),
    Case(
        ("global_pool_by_mean",),
        lambda: _between(lambda m, x: x * F.adaptive_avg_pool2d(x, 1).sigmoid()),
        MAP,
    ),
    Case(
        ("mean_over_pixels",),
        lambda: Net(
            lambda m, x: m.head(m.stem(x).mean(1)),
            stem=nn.Linear(192, 192),
            head=nn.Linear(192, 100),
        ),
        TOKENS,
    ),
    Case(("elu_by_clamps",), lambda: _between(lambda m, x: F.elu(x)), MAP),
    Case(("softplus_by_log",), lambda: _between(lambda m, x: F.softplus(x)), MAP),
    Case(("mish_by_log",), lambda: _between(lambda m, x: F.mish(x)), MAP),
    Case(
        ("hardsigmoid_by_clamp",),
        lambda: _between(lambda m, x: x * F.hardsigmoid(m.gate(x)), gate=nn.Conv2d(64, 64, 1)),
        MAP,
    ),
    Case(("length_by_product",), lambda: _between(lambda m, x: F.normalize(x, dim=1)), MAP),
    Case(
        ("nearest_by_products",),
        lambda: _between(lambda m, x: F.interpolate(x, scale_factor=2)),
        (1, 64, 14, 14),
    ),
    Case(
        ("windows_by_product",),
        lambda: _between(
            lambda m, x: m.spread(x), spread=nn.ConvTranspose2d(64, 64, 2, stride=2, groups=64)
        ),
        (1, 64, 14, 14),
    ),
    Case(("roll_by_cat",), lambda: _between(lambda m, x: x.roll((3, 3), (2, 3))), MAP),
    Case(
        ("channel_shuffle_by_permute",),
        lambda: _between(lambda m, x: F.channel_shuffle(x, 2)),
        MAP,
    ),
    Case(
        ("pixel_shuffle_by_permute",),
        lambda: _between(lambda m, x: F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2)),
        (1, 64, 14, 14),
    ),
)
