"""The graphs that issues and documents cite, rebuilt small, and their cured forms.

One module per rule, called like it, in one net of all that is bad, and in one of the cured forms.
"""

import torch
from torch.nn import functional as F

from edgevit.converters.rewrites.rule import rewrite, rules

MAP, TOKENS = (1, 4, 8, 8), (1, 6, 16)
PICKED = torch.tensor([0, 2, 3])


class Net(torch.nn.Module):
    """One module per function, each a result of its own; keys are names of rules."""

    def __init__(self, functions, **layers):
        super().__init__()
        self.names = [name.replace("-", "_") for name in functions]
        for name, function in zip(self.names, functions.values(), strict=True):
            setattr(self, name, Part(function, layers.get(name)))

    def forward(self, x, t):
        return tuple(getattr(self, name)(x, t) for name in self.names)


class Part(torch.nn.Module):
    def __init__(self, function, layer):
        super().__init__()
        self.function = function
        self.layer = layer

    def forward(self, x, t):
        return self.function(*([self.layer] if self.layer else []), x, t)


def attention(x, t, shape, turn):
    """Of which q, k and v lie in one product, as in litert-torch#1079 and in timm."""
    q, k, v = torch.cat([t, t * 2, t * 3], 2).reshape(shape).permute(turn).unbind(0)
    return q * k + v


TFLITE = {  # rule → the cited graph, its cured form
    "rank-over-4": (
        lambda x, t: attention(x, t, (1, 6, 3, 2, 8), (2, 0, 3, 1, 4)),
        lambda x, t: attention(x, t, (6, 3, 2, 8), (1, 2, 0, 3)),
    ),
    "rank-0": (lambda x, t: t * t.amax(), lambda x, t: t * t.amax((1, 2), keepdim=True)),
    "broadcast-to": (lambda x, t: t[:, :1].expand(1, 5, 16) + 0.0, None),
    "gather-nd": (
        lambda x, t: t[:, PICKED] * 2,
        lambda x, t: torch.cat([t[:, :1], t[:, 2:4]], 1) * 2,
    ),
    "relu-0-to-1": (lambda x, t: F.hardtanh(x, 0, 1), lambda x, t: F.relu(x) - F.relu(x - 1)),
    "no-kernel": (
        lambda x, t: F.conv3d(x[:, :, None], torch.ones(8, 4, 1, 3, 3))[:, :, 0],
        lambda x, t: F.conv2d(x, torch.ones(8, 4, 3, 3)),
    ),
    "selection": (
        lambda x, t: torch.where(x > 0, x, x * 0.1),
        lambda x, t: F.relu(x) - 0.1 * F.relu(-x),
    ),
    "masked-product": (
        lambda x, t: x @ x.transpose(2, 3) + x[:, :1],
        lambda x, t: x @ x.transpose(2, 3) + x,
    ),
    "sum-in-half": (lambda x, t: x.sum((2, 3)), None),
    "not-listed": (lambda x, t: x.remainder(3.0), lambda x, t: x - (x / 3).floor() * 3),
}
# What a rewrite cures: rules that are broken → (the graph, the rewrites).
TFLITE_CURED = {
    "broadcast-to": (lambda x, t: x.repeat(1, 2, 1, 1) * 1.5, ["views", "repeat_by_cat"]),
    "sum-in-half": (lambda x, t: x.sum((2, 3)), ["sum_by_mean"]),
}

COREML = {
    "grid-sample": (
        lambda x, t: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False),
        lambda x, t: F.interpolate(x, scale_factor=2, mode="bilinear"),
    ),
    "indices": (
        lambda x, t: t[:, PICKED] * 2 + t.topk(3, dim=1)[0],
        lambda x, t: torch.cat([t[:, :1], t[:, 2:4]], 1) * 2,
    ),
    "dilated": (
        lambda x, t: F.conv2d(x, torch.ones(8, 4, 3, 3), dilation=2),
        lambda x, t: F.conv2d(x, torch.ones(8, 4, 3, 3)),
    ),
    "softplus": (lambda x, t: F.softplus(x) + F.mish(x), None),
    "log-sum-exp": (
        lambda x, t: x.logsumexp(1),
        lambda x, t: (x - x.amax(1, True)).exp().sum(1).log() + x.amax(1),
    ),
    "linear-hard-swish": (
        lambda layer, x, t: F.hardswish(layer(t[:, 0])),
        lambda x, t: F.hardswish(F.conv2d(t[:, 0, :, None, None], torch.ones(8, 16, 1, 1))),
    ),
    "last-axis-of-one": (
        lambda x, t: F.relu(t.transpose(1, 2)[..., None]),
        lambda x, t: F.relu(t.transpose(1, 2)[:, :, None]),
    ),
    "linear-layers": (lambda layer, x, t: layer(t), None),
    "copies": (lambda layer, x, t: layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), None),
}
COREML_CURED = {
    "softplus": (COREML["softplus"][0], ["softplus_by_log", "mish_by_log"]),
    "copies": (COREML["copies"][0], ["permute_past_linear", "permutes_joined"]),
}
LAYERS = {
    "linear_hard_swish": lambda: torch.nn.Linear(16, 8),
    "linear_layers": lambda: torch.nn.Linear(16, 8),
    "copies": lambda: torch.nn.Linear(4, 8),
}


def nets(table, cured):
    """The bad net and the good one, exported, and how often each cure applied."""
    examples = (torch.randn(MAP), torch.randn(TOKENS))

    def export(functions, layers):
        made = {
            name: layer() for name, layer in layers.items() if name.replace("_", "-") in functions
        }
        return torch.export.export(Net(functions, **made).eval(), examples)

    bad = export({rule: forms[0] for rule, forms in table.items()}, LAYERS)
    good = export({rule: forms[1] for rule, forms in table.items() if forms[1]}, {})
    yield "bad", bad, examples
    yield "good", good, examples
    for rule, (function, names) in cured.items():
        broken = export({rule: function}, LAYERS)
        program, report = rewrite(broken, rules(names))
        assert report.applied, (rule, report)
        yield f"{rule}.bad", broken, examples
        yield f"{rule}.good", program, examples
