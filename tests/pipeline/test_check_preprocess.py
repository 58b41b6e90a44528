"""Each mistake planted in tensors of real photographs, by hand, and named."""

from dataclasses import replace

import numpy as np
import pytest
from app_tensors import PHOTOGRAPHS, PICTURES, VALUES, P, artifact, planted
from PIL import Image

from edgevit.pipeline.app_mistakes import mistaken, mistakes_with, pairs, right_way
from edgevit.pipeline.app_ways import Picture, tensor
from edgevit.pipeline.check_preprocess import check_preprocess
from edgevit.preprocess import Preprocess


@pytest.fixture
def judge(tmp_path):
    def judged(values, picture=PHOTOGRAPHS[0], p=P, **card):
        file = tmp_path / "dump.bin"
        file.write_bytes(np.asarray(values, "<f4").tobytes())
        return check_preprocess(artifact(tmp_path, p, **card), picture, file)

    return judged


@pytest.mark.parametrize("noise", [0, 1])
@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda f: f.stem)
def test_the_right_one_is_right(judge, photograph, noise):
    found = judge(planted("card", "card", photograph, noise), photograph)
    assert found.is_right
    assert found.alike == ()
    assert found.asked.largest == pytest.approx(noise, abs=1e-3)
    assert found.runner_up.mean > 0.5


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda f: f.stem)
@pytest.mark.parametrize(
    ("picture", "values"),
    [
        *((p, "card") for p in PICTURES if p != "card"),
        *(("card", v) for v in VALUES if v != "card"),
    ],
)
def test_a_mistake_is_named(judge, picture, values, photograph):
    noise = int(photograph == PHOTOGRAPHS[1])
    found = judge(planted(picture, values, photograph, noise), photograph)
    assert not found.is_right
    assert len(found.best.mistakes) == 1
    assert PICTURES[picture][1] + VALUES[values][1] in found.words
    assert found.best.mean < found.runner_up.mean
    assert found.best.mean < 0.5 + noise / 2


@pytest.mark.parametrize(
    ("picture", "values"),
    [
        ("squeezed", "BGR"),
        ("no crop", "0..255"),
        ("ratio", "NHWC"),
        ("bilinear", "BGR"),
        ("bilinear", "-1..1"),
        ("mirrored", "0..1"),
        ("letterbox", "on bytes"),
    ],
)
def test_two_mistakes_are_named(judge, picture, values):
    found = judge(planted(picture, values, noise=1))
    assert found.best.holds
    assert found.alike == ()
    assert len(found.best.mistakes) == 2
    for words in (PICTURES[picture][1], VALUES[values][1]):
        assert words in found.words


def test_four_mistakes_of_a_hasty_app(judge):
    image = Image.open(PHOTOGRAPHS[1]).resize((96, 96), Image.Resampling.BILINEAR)
    found = judge(np.asarray(image) / 255, PHOTOGRAPHS[1])
    assert found.best.holds
    steps = ["crop", "filter", "layout", "scale"]
    assert sorted(mistake.step for mistake in found.best.mistakes) == steps


def test_a_candidate_is_told_from_all_others():
    """On these photographs no two mistakes, or pairs with the card's other steps, look alike."""
    picture = Picture(PHOTOGRAPHS[1], "RGB")
    way = right_way(P, "CHW")
    made = {}
    for mistake in mistakes_with(P, way, picture):
        values = tensor(mistaken(way, (mistake,)), picture)
        for words, other in made.items():
            assert words == mistake.words or np.abs(values - other).max() > 0.02
        made[mistake.words] = values
    assert len(made) > 35
    assert len(list(pairs(mistakes_with(P, way, picture)))) > 400


def test_a_square_picture_leaves_open_how_it_was_cropped(judge, tmp_path):
    square = tmp_path / "square.png"
    Image.open(PHOTOGRAPHS[0]).crop((60, 0, 316, 256)).save(square)
    found = judge(planted("no crop", "card", square), square)
    assert found.best.holds
    assert found.words.startswith("either the whole picture is squeezed to 96×96")
    assert ", or no centre crop" in found.words
    both = judge(planted("no crop", "BGR", square), square)
    assert both.words.count("BGR") == len(both.alike) + 1 > 2


def test_the_right_one_of_a_grey_square_could_be_others(judge, tmp_path):
    grey = tmp_path / "grey.png"
    Image.open(PHOTOGRAPHS[0]).convert("L").convert("RGB").save(grey)
    found = judge(planted("card", "card", grey), grey)
    assert found.is_right
    assert [fit.words for fit in found.alike] == [
        "red and blue are swapped: BGR where the card says RGB"
    ]


def test_exif(judge, tmp_path):
    turned = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(PHOTOGRAPHS[0]).save(turned, exif=exif)
    found = judge(planted("card", "card", turned), turned)  # np.array of an Image ignores EXIF
    assert found.words == "the EXIF orientation is ignored"
    both = judge(planted("card", "BGR", turned), turned)
    assert both.words.endswith("RGB; and the EXIF orientation is ignored")


def test_embedded_grey_oblong_and_channels_last(judge):
    p = replace(P, embedded=True)
    pixels = p.apply(PHOTOGRAPHS[0])
    assert judge(pixels, p=p).is_right
    assert "0..1; the model takes 0..255" in judge(pixels / 255, p=p).words
    assert "which this model does itself" in judge(P.apply(PHOTOGRAPHS[0]), p=p).words

    grey = Preprocess(64, 64, mean=(0.5,), std=(0.25,), channels="L")
    plain = replace(grey, embedded=True).apply(PHOTOGRAPHS[1])
    assert judge(grey.apply(PHOTOGRAPHS[1]), PHOTOGRAPHS[1], grey).is_right
    assert "0..1; the card's" in judge(plain / 255, PHOTOGRAPHS[1], grey).words
    columns = grey.apply(PHOTOGRAPHS[1]).swapaxes(2, 3)
    assert judge(columns, PHOTOGRAPHS[1], grey).words.startswith("height and width are swapped")

    wide = Preprocess(64, 96)
    x = wide.apply(PHOTOGRAPHS[0])
    assert "swapped" in judge(x.swapaxes(2, 3), p=wide).words
    tall = Preprocess(96, 64).apply(PHOTOGRAPHS[0])
    assert "prepared 64 wide and 96 high instead of 96×64" in judge(tall, p=wide).words

    last = {"shape": [1, 96, 96, 3]}
    x = P.apply(PHOTOGRAPHS[0])
    shape = {"name": "net", "parameters": 1, "macs": 2, "outputs": []}
    shape["inputs"] = [{"name": "x", "dtype": "float32", **last}]
    assert judge(x.transpose(0, 2, 3, 1), model=shape).is_right
    assert "first (NCHW) where" in judge(x, model=shape).words


def test_what_none_of_them_explains(judge):
    rng = np.random.default_rng(0)
    assert "is it the same picture?" in judge(rng.standard_normal((3, 96, 96))).words
    x = P.apply(PHOTOGRAPHS[0])
    near = judge(x + rng.choice([-4, 4], x.shape) / 255 / 0.225 * (rng.random(x.shape) < 0.2))
    assert not near.is_right
    assert "another implementation of the same resize" in near.words


def test_bytes(tmp_path):
    p = replace(P, embedded=True)
    pixels = p.apply(PHOTOGRAPHS[0])
    net = artifact(tmp_path, p, dtype="uint8")
    dump = tmp_path / "dump.bin"
    for values, words in ((pixels, "right"), (pixels[:, ::-1], "BGR"), (pixels / 255, "0..1")):
        dump.write_bytes(values.astype(np.uint8).tobytes())
        assert words in check_preprocess(net, PHOTOGRAPHS[0], dump).words
