"""A user's project: a model file with several inputs and outputs, and the module it imports."""

from pathlib import Path
from textwrap import dedent

NET = """
    import torch
    from torch import nn
    from layers import Gate

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.gate = Gate()

        def forward(self, image, mask):
            x = self.conv(image)
            return {"scores": x.mean((2, 3)), "maps": [self.gate(x, mask), mask + 1]}

    def make(num_classes=4):
        torch.manual_seed(1)
        return Net(), (torch.rand(1, 3, 10, 8), torch.rand(1, 1, 8, 6))
"""
LAYERS = """
    from torch import nn

    class Gate(nn.Module):
        def forward(self, x, mask):
            return x * mask
"""


def write(folder: Path) -> str:
    """The project in `folder`; the name of its model."""
    folder.mkdir(parents=True)
    (folder / "net.py").write_text(dedent(NET))
    (folder / "layers.py").write_text(dedent(LAYERS))
    return f"{folder / 'net.py'}:make"
