"""The user's own file: imported alone, built, and blamed by its line."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from edgevit.errors import InputError, UnknownName
from edgevit.models import build
from edgevit.preprocess import Preprocess
from edgevit.weights import digest

NET = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self, num_classes=10):
            super().__init__()
            self.conv = nn.Conv2d(3, num_classes, 3)

        def forward(self, x):
            return self.conv(x).mean((2, 3))
"""


def written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(NET) + dedent(text))
    return file


def test_a_class_in_a_file(tmp_path):
    file = written(tmp_path / "mon modèle: 1" / "net.py", "")
    before, path = set(sys.modules), list(sys.path)
    model = build(f"{file}:Net")
    assert model.module(*model.inputs).shape == (1, 10)
    assert model.inputs[0].shape == (1, 3, 224, 224)
    assert model.preprocess is None
    assert model.sources == (file,)
    assert not any(m.training for m in model.module.modules())
    assert not any(p.requires_grad for p in model.module.parameters())
    assert sys.path == path
    assert [k for k in set(sys.modules) - before if not k.startswith("edgevit")] == []
    assert sorted(p.name for p in file.parent.iterdir()) == ["net.py"]

    again, seven = build(f"{file}:Net"), build(f"{file}:Net", num_classes=7, input_size=32)
    assert digest(again.module) == digest(model.module)
    assert seven.module(*seven.inputs).shape == (1, 7)
    assert seven.inputs[0].shape == (1, 3, 32, 32)


def test_a_changed_file_is_read_again(tmp_path):
    file = written(tmp_path / "net.py", "def make(): return Net(3)")
    assert build(f"{file}:make").module.conv.out_channels == 3
    written(file, "def make(): return Net(4)")
    assert build(f"{file}:make").module.conv.out_channels == 4


def test_neighbours_are_sources_and_do_not_mix(tmp_path):
    for folder, width in (("a", 3), ("b", 4)):
        written(tmp_path / folder / "parts" / "layers.py", f"WIDTH = {width}")
        (tmp_path / folder / "parts" / "__init__.py").touch()
        text = "def make():\n    from parts.layers import WIDTH, Net\n    return Net(WIDTH)"
        file = written(tmp_path / folder / "torch.py", text)  # must not replace the real torch
        model = build(f"{file}:make")
        assert model.module.conv.out_channels == width
        names = [p.relative_to(tmp_path / folder).as_posix() for p in model.sources]
        assert names == ["parts/__init__.py", "parts/layers.py", "torch.py"]
    assert "parts" not in sys.modules
    assert sys.modules["torch"] is torch


EXAMPLES = """
    import torch
    def tensor(): return Net().half(), torch.zeros(1, 3, 8, 9).half()
    def pair(input_size=5): return Net(), [torch.zeros(1, 3, input_size, 8), torch.ones(1).int()]
    def said(size):
        net = Net()
        net.input_size = size
        return net
    def side(): return said(48)
    def two(): return said((40, 48))
    def three(): return said([1, 40, 48])
    def config():
        net = Net()
        net.default_cfg = {"input_size": (3, 96, 96)}
        return net
    made = Net(3)
"""


@pytest.mark.parametrize(
    ("name", "options", "shapes"),
    [
        ("tensor", {}, [(1, 3, 8, 9)]),
        ("pair", {"input_size": 6}, [(1, 3, 6, 8), (1,)]),
        ("side", {}, [(1, 3, 48, 48)]),
        ("two", {}, [(1, 3, 40, 48)]),
        ("three", {}, [(1, 1, 40, 48)]),
        ("three", {"input_size": 8}, [(1, 1, 8, 8)]),
        ("config", {}, [(1, 3, 96, 96)]),
        ("made", {}, [(1, 3, 224, 224)]),
    ],
)
def test_example_inputs(name, options, shapes, tmp_path):
    model = build(f"{written(tmp_path / 'net.py', EXAMPLES)}:{name}", **options)
    assert [tuple(t.shape) for t in model.inputs] == shapes
    assert model.inputs[0].dtype == torch.float32
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}


def test_preprocess(tmp_path):
    file = written(
        tmp_path / "net.py",
        """
        def make(values):
            net = Net()
            net.preprocess = values
            return net
        def as_dict(): return make({"height": 64, "width": 48, "crop_fraction": 1.0})
        def wrong(): return make({"hieght": 64, "width": 48})
        def layer(): return make(nn.Identity())
        """,
    )
    model = build(f"{file}:as_dict")
    assert model.preprocess == Preprocess(64, 48, crop_fraction=1.0)
    assert model.inputs[0].shape == (1, 3, 64, 48)
    assert build(f"{file}:as_dict", input_size=32).preprocess == Preprocess(32, 32, 1.0)
    assert build(f"{file}:layer").preprocess is None
    with pytest.raises(InputError, match="did you mean 'height'"):
        build(f"{file}:wrong")


REFUSED = {
    "Nett": "unknown callable 'Nett'; did you mean 'Net'",
    "NUMBER": "'NUMBER' in net.py is a int",
    "nothing": "net.py:nothing returned NoneType; return an nn.Module",
    "strings": "returned str as example inputs",
    "needy": "needs depth; give defaults",
    "wrong": "net.py, line 19: ZeroDivisionError: division by zero",
    "odd": r"input_size is 'large'; give S, \(H, W\)",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    file = written(
        tmp_path / "net.py",
        """
        NUMBER = 3
        def nothing(): pass
        def strings(): return Net(), "abc"
        def needy(depth, num_classes=3): return Net()
        def halve(x):
            # a line

            return x / 0
        def wrong(): return halve(1)
        class Odd(Net): input_size = "large"
        def odd(): return Odd()
        """,
    )
    with pytest.raises(InputError, match=REFUSED[name]) as e:
        build(f"{file}:{name}")
    assert "\n" not in str(e.value)


def test_values_the_callable_does_not_take(tmp_path):
    file = written(tmp_path / "net.py", "def fixed(): return Net(), __import__('torch').ones(1)")
    for values in ({"num_classes": 3}, {"input_size": 3}, {"pretrained": True}):
        with pytest.raises(InputError, match=f"takes no {next(iter(values))}; leave it out"):
            build(f"{file}:fixed", **values)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import nothing_of_this_name", "net.py, line 1: ModuleNotFoundError: No module named"),
        ("x = 1\nx +* 2", "net.py, line 2: SyntaxError"),
        ("import sys\n\nsys.exit('bye')", "net.py, line 3: SystemExit: bye"),
        ("import part", "part.py, line 2: KeyError"),
    ],
)
def test_a_file_that_does_not_import(text, sentence, tmp_path):
    (tmp_path / "net.py").write_text(text)
    (tmp_path / "part.py").write_text("\n{}['a']")
    before, path = set(sys.modules), list(sys.path)
    with pytest.raises(InputError, match=sentence) as e:
        build(f"{tmp_path / 'net.py'}:make")
    assert "\n" not in str(e.value)
    assert [k for k in set(sys.modules) - before if not k.startswith("edgevit.")] == []
    assert sys.path == path


def test_names_that_lead_nowhere(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*missing.py"):
        build(f"{tmp_path}/missing.py:make")
    with pytest.raises(InputError, match=r"names no callable; write path/to/file.py:callable"):
        build(f"{tmp_path}/net.py")
    with pytest.raises(InputError, match="names no callable"):
        build(f"{tmp_path}/net.py:")
    (tmp_path / "net.txt").write_text("a")
    with pytest.raises(InputError, match="is no Python file"):
        build(f"{tmp_path}/net.txt:make")
    (tmp_path / "net.py").write_text("")
    with pytest.raises(UnknownName, match=r"net.py: unknown callable 'make'"):
        build(f"{tmp_path}/net.py:make")


def test_edgevit_in_the_folder_is_not_the_users(tmp_path, monkeypatch):
    """A user's file beside an installed edgevit neither forgets edgevit nor lists it."""
    import edgevit.models.user as user

    monkeypatch.setattr(user, "__file__", str(tmp_path / "edgevit" / "models" / "user.py"))
    assert user._is_users(tmp_path / "net.py", tmp_path)
    assert not user._is_users(tmp_path / "edgevit" / "errors.py", tmp_path)
    assert not user._is_users(tmp_path / "v" / "site-packages" / "timm.py", tmp_path)
    assert not user._is_users(tmp_path.parent / "net.py", tmp_path)
