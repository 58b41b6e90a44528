"""The preprocessing against timm's own transform, and pictures that are none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn

from edgevit.errors import InputError
from edgevit.preprocess import Preprocess
from edgevit.transforms.embed_preprocess import EmbedPreprocess

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def config(size=(3, 224, 224), crop=0.875, interpolation="bicubic", mode="center", **values):
    return {
        **IMAGENET,
        "input_size": size,
        "crop_pct": crop,
        "interpolation": interpolation,
        "crop_mode": mode,
        **values,
    }


CONFIGS = {
    "imagenet": config(),
    "bilinear 0.9": config(crop=0.9, interpolation="bilinear"),
    "whole": config(crop=1.0),
    "256": config(size=(3, 256, 256), crop=0.888, mean=(0.0,) * 3, std=(1.0,) * 3),
    "half": config(crop=0.9, mean=(0.5,) * 3, std=(0.5,) * 3),
    "wide": config(size=(3, 160, 288), crop=0.95),
    "tall, larger than the picture": config(size=(3, 701, 320), crop=0.9),
    "squash": config(mode="squash", crop=0.9),
    "border": config(mode="border", crop=0.9),
    "border, odd": config(size=(3, 225, 223), mode="border", crop=1.0),
    "nearest": config(interpolation="nearest"),
}


@pytest.fixture(scope="module")
def photographs():
    return [Image.fromarray(a) for a in load_sample_images().images]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_equals_timm(name, turned, photographs):
    from timm.data import create_transform

    theirs = create_transform(**CONFIGS[name], is_training=False)
    for picture in photographs:
        if turned:
            picture = picture.rotate(90, expand=True).crop((0, 0, 333, 640))
        expected = theirs(picture).numpy()[None]
        ours = Preprocess.from_timm(CONFIGS[name]).apply(picture)
        assert ours.dtype == np.float32
        assert ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=0, atol=5e-7)


def test_embedded_takes_pixels_and_computes_the_same(photographs):
    torch.manual_seed(0)
    outside = Preprocess(64, 48)
    inside = replace(outside, embedded=True)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten())
    pixels = inside.apply(photographs[0])
    assert pixels.min() >= 0
    assert pixels.max() > 200
    assert np.array_equal(pixels, np.round(pixels))
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in (outside.mean, outside.std))
    exact = torch.from_numpy((pixels.astype(np.float64) / 255 - mean) / std)
    np.testing.assert_allclose(outside.apply(photographs[0]), exact, atol=1e-6)

    embedded = EmbedPreprocess(model, preprocess=inside)
    single = embedded(torch.from_numpy(pixels))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, model(torch.from_numpy(outside.apply(photographs[0]))))
    double = embedded.double()(torch.from_numpy(pixels).double())
    torch.testing.assert_close(double, model(exact), rtol=0, atol=1e-14)
    assert embedded.float().shift.dtype == torch.float32


def test_embedded_adds_no_weights_and_exports():
    grey = Preprocess(8, 8, mean=(0.5,), std=(0.5,), channels="L")
    model = EmbedPreprocess(nn.Conv2d(1, 2, 1), preprocess=grey)
    assert set(model.state_dict()) == {"module.weight", "module.bias"}
    x = torch.rand(1, 1, 8, 8) * 255
    exported = torch.export.export(model.eval(), (x,)).module()
    torch.testing.assert_close(exported(x), model(x))


def test_files_grey_alpha_and_turned_pictures(tmp_path: Path, photographs):
    p = Preprocess(32, 32)
    file = tmp_path / "a b.png"
    photographs[1].save(file)
    assert np.array_equal(p.apply(file), p.apply(photographs[1]))
    grey = replace(p, channels="L", mean=(0.5,), std=(0.25,))
    assert grey.apply(file).shape == (1, 1, 32, 32)
    assert np.array_equal(p.apply(photographs[1].convert("RGBA")), p.apply(file))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned; a viewer turns it by 270 degrees
    turned = tmp_path / "turned.png"
    photographs[1].save(turned, exif=exif)
    upright = photographs[1].transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(p.apply(turned), p.apply(upright))


def test_a_dict_and_back():
    p = Preprocess(224, 192, mean=(0.1, 0.2, 0.3), embedded=True, crop_mode="squash")
    assert Preprocess.from_dict(p.as_dict()) == p
    with pytest.raises(InputError, match="'interpolatoin'; did you mean 'interpolation'"):
        Preprocess.from_dict({"height": 1, "width": 1, "interpolatoin": "bicubic"})
    with pytest.raises(InputError, match="incomplete"):
        Preprocess.from_dict({"height": 224})
    with pytest.raises(InputError, match="incomplete or mistyped"):
        Preprocess.from_dict({"height": 224, "width": "wide"})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"interpolation": "bicubik"}, "did you mean 'bicubic'"),
        ({"channels": "BGR"}, "there are: L, RGB"),
        ({"channels": "L"}, "1 means"),
        ({"crop_fraction": 0.0}, "crop fraction"),
        ({"height": 0}, "0×8"),
        ({"std": (1.0, 0.0, 1.0)}, "positive"),
    ],
)
def test_senseless_values(values, sentence):
    with pytest.raises(InputError, match=sentence):
        Preprocess(**{"height": 8, "width": 8, **values})


def test_pictures_that_are_none(tmp_path: Path, photographs):
    p = Preprocess(32, 32)
    whole = tmp_path / "whole.jpg"
    photographs[0].save(whole)
    broken = {
        "empty.png": b"",
        "text.jpg": b"not a picture\n" * 20,
        "cut.jpg": whole.read_bytes()[: whole.stat().st_size // 2],
        "head.jpg": whole.read_bytes()[:40],
    }
    for name, data in broken.items():
        file = tmp_path / name
        file.write_bytes(data)
        with pytest.raises(InputError, match=name) as e:
            p.apply(file)
        assert "\n" not in str(e.value)
    with pytest.raises(InputError, match="no picture at"):
        p.apply(tmp_path / "missing.png")
    with pytest.raises(InputError, match="not a readable picture"):
        p.apply(tmp_path)


def test_pictures_that_are_too_much(tmp_path: Path):
    p = Preprocess(32, 32)
    bomb = tmp_path / "bomb.png"
    Image.new("1", (10_001, 10_000)).save(bomb)
    with pytest.raises(InputError, match="10001×10000 pixels, more than 100 million"):
        p.apply(bomb)
    with pytest.raises(InputError, match="too thin"):
        p.apply(Image.new("RGB", (200_000, 1)))
    with pytest.raises(InputError, match="8 bits"):
        p.apply(Image.new("I;16", (40, 40)))
