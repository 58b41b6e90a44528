"""What calibrates is what the model takes, and what cannot be that is refused by name."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgevit.calibration import load, rows_of, save
from edgevit.errors import InputError
from edgevit.preprocess import Preprocess

PREPARED = Preprocess(
    8, 8, crop_fraction=1.0, interpolation="bilinear", mean=(0.5,) * 3, std=(0.25,) * 3
)
EXAMPLE = [np.zeros((1, 3, 8, 8), np.float32)]


def rows(source, *, preprocess=PREPARED, samples=128, examples=EXAMPLE):
    return rows_of(str(source), examples, preprocess, samples=samples)


def images(count=20):
    return np.random.default_rng(0).uniform(-2, 2, (count, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def pictures(tmp_path):
    """Forty in folders of two classes."""
    rng = np.random.default_rng(0)
    for i in range(40):
        folder = tmp_path / "pictures" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(folder / f"{i:02}.png")
    return tmp_path / "pictures"


def test_pictures_are_prepared_as_the_model_says_and_spread_over_the_classes(pictures):
    every, some = rows(pictures), rows(pictures, samples=20)
    assert (len(every), len(some)) == (40, 20)
    first = PREPARED.apply(pictures / "a" / "00.png")
    last = PREPARED.apply(pictures / "b" / "39.png")
    for found in (every, some):
        assert np.array_equal(found[0][0], first)
        assert np.array_equal(found[-1][0], last)


def test_unreadable_pictures_are_passed_over_while_enough_are_left(pictures):
    for file in sorted(pictures.rglob("*.png"))[:20]:
        file.write_bytes(b"no picture")
    assert len(rows(pictures)) == 20
    for file in sorted(pictures.rglob("*.png"))[20:30]:
        file.write_bytes(b"no picture")
    words = r"10 good pictures, at least 16 are needed; 30 cannot be read: .*00\.png"
    with pytest.raises(InputError, match=words):
        rows(pictures)


def test_an_array_and_a_function_give_the_same(tmp_path):
    np.save(tmp_path / "x.npy", images())
    (tmp_path / "loader.py").write_text(
        "from pathlib import Path\nimport numpy as np\n\n"
        "def rows():\n    yield from np.load(Path(__file__).parent / 'x.npy')\n"
    )
    (tmp_path / "broken.py").write_text("def rows():\n    return [1 / 0]\n")
    expected = [(row[None],) for row in images()]
    for source in (tmp_path / "x.npy", f"{tmp_path}/loader.py:rows"):
        found = rows(source)
        assert all(np.array_equal(a, b) for (a,), (b,) in zip(found, expected, strict=True))
    spread = rows(tmp_path / "x.npy", samples=16)
    assert len(spread) == 16
    assert np.array_equal(spread[-1][0], expected[-1][0])
    with pytest.raises(InputError, match=r"broken.py, line 2: ZeroDivisionError"):
        rows(f"{tmp_path}/broken.py:rows")


def test_what_is_written_comes_back(tmp_path):
    given = tuple((a[None], a.sum(0)) for a in images())
    save(given, tmp_path / "c.npz")
    back = load(tmp_path / "c.npz")
    assert all(map(np.array_equal, (r[1] for r in back), (r[1] for r in given)))
    assert len(back) == 20


def test_noise_only_by_its_name():
    assert len(rows("random")) == 16


def test_one_of_two_inputs_may_stay_the_same(tmp_path):
    (tmp_path / "two.py").write_text(
        "import numpy as np\n\ndef rows():\n"
        "    return [(np.ones((1, 4)), np.full((1, 2), i)) for i in range(16)]\n"
    )
    examples = [np.zeros((1, 4), np.float32), np.zeros((1, 2), np.int64)]
    found = rows(f"{tmp_path}/two.py:rows", preprocess=None, examples=examples)
    assert [a.dtype for a in found[0]] == [np.float32, np.int64]


def test_pictures_inside_are_of_0_to_255(tmp_path):
    inside = replace(PREPARED, embedded=True)
    np.save(tmp_path / "x.npy", images())
    with pytest.raises(InputError, match=r"takes pictures of 0\.\.255"):
        rows(tmp_path / "x.npy", preprocess=inside)
    np.save(tmp_path / "x.npy", (images() + 2) / 4 * 255)
    assert len(rows(tmp_path / "x.npy", preprocess=inside)) == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[:15], "gives 15 inputs, at least 16"),
        (lambda x: np.stack([x[0]] * 20), "all 20 inputs are the same"),
        (lambda x: np.where(x > 1.9, np.nan, x), "NaN or infinity"),
        (lambda x: (x + 2) / 4 * 255, r"to 255.* between -2 and 2. It looks like 0..255"),
        (lambda x: 3 * x, "It looks like another normalisation"),
        (lambda x: x.transpose(0, 2, 3, 1), "channels are the last axis; transpose"),
        (lambda x: x[:, :, :7], r"shapes \[\[3, 7, 8\]\], the model takes \[\[1, 3, 8, 8\]\]"),
    ],
    ids=["few", "alike", "NaN", "0..255", "another range", "NHWC", "size"],
)
def test_an_array_that_cannot_be_right(tmp_path, change, words):
    np.save(tmp_path / "x.npy", change(images()))
    with pytest.raises(InputError, match=words):
        rows(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere", "no folder, no .npy file"),
        ("nowhere.npy", "there is no file"),
        ("nowhere.py:rows", "there is no file"),
        ("text.npy", "is no array of numbers"),
        (".", "holds none of .jpg"),
    ],
)
def test_what_is_not_there(tmp_path, monkeypatch, source, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.npy").write_text("no numbers")
    with pytest.raises(InputError, match=words):
        rows(source)


def test_too_few_are_refused_before_anything_is_read():
    with pytest.raises(InputError, match="--samples 15 is too few"):
        rows("nowhere", samples=15)


def test_pictures_for_a_model_that_says_nothing_of_them(pictures):
    with pytest.raises(InputError, match="nothing of how its pictures are prepared"):
        rows(pictures, preprocess=None)
