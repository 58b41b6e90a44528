"""`edgevit tome`: r by r in real files, limits that pick one, and a picture of what merged."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from PIL import Image

from edgevit.cli import cli
from edgevit.errors import InputError
from edgevit.pictures import pictures_in
from edgevit.pipeline.show_merges import groups_of
from edgevit.pipeline.tome import Merged, within
from edgevit.profiles.compare import Ratio
from edgevit.transforms.merge import merged, merging_of

SMALL = ("timm:test_vit", "--input-size", "64", "--num-classes", "5")


def edgevit(*arguments):
    return CliRunner().invoke(cli, ["tome", *map(str, arguments)])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir()
        for i in range(3):
            drawn = rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
            Image.fromarray(drawn).save(folder / label / f"{i}.png")
    return folder


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_r_by_r(tmp_path, pictures):
    found = edgevit(
        *SMALL, "--r", "1,9", "--rounds", 3, "--data", pictures, "--json", "--html",
        tmp_path / "page.html", "-o", tmp_path / "out", "--max-drop", 100, "--min-faster", 99,
    )  # fmt: skip
    assert found.exit_code == 3, found.output
    document = json.loads(found.stdout)
    assert [row["r"] for row in document["rows"]] == [0, 1, 9]
    assert document["rows"][0]["same"] == 1.0
    assert {row["accuracy"] for row in document["rows"]} <= {i / 6 for i in range(7)}
    assert document["rows"][2]["by_macs"] > document["rows"][1]["by_macs"]
    assert sum(document["rows"][2]["merged"]) < 16 + 1  # as many as there are, and no more
    assert (tmp_path / "out" / "test_vit-tome9.onnx").exists()
    assert "tokens merged" in (tmp_path / "page.html").read_text()


def row(r, times, right, verdict="faster"):
    return Merged(r, None, (), None, 1.0, Ratio(times, times, times, verdict), 1.0, right)


def test_limits_pick_the_fastest_or_the_most_accurate():
    plain = replace(row(0, 1.0, 0.90), faster=None)
    rows = [plain, row(4, 1.2, 0.90), row(8, 1.5, 0.89), row(16, 2.0, 0.80)]
    assert within(rows, max_drop=1.5, min_faster=None).tome == 8
    assert within(rows, max_drop=None, min_faster=1.3).tome == 8
    assert within(rows, max_drop=0.5, min_faster=1.3) is None
    slower = [plain, row(4, 0.9, 0.90, "slower")]
    assert within(slower, max_drop=5, min_faster=None) is None


def test_every_patch_is_in_one_group_and_groups_only_grow():
    torch.manual_seed(0)
    model = timm.create_model("test_vit", img_size=64).eval()
    net = merged(model, 2)
    groups = groups_of(net, torch.randn(1, 3, 64, 64))
    tokens = merging_of(net)[0].ones.shape[1] - merging_of(net)[0].protected
    for layer, of in enumerate(groups, 1):
        assert of.shape == (tokens,)
        assert len(set(of)) == tokens - 2 * layer
    for before, after in pairwise(groups):
        for group in set(before):
            assert len(set(after[before == group])) == 1


def test_the_picture(tmp_path, pictures):
    place = tmp_path / "merged.png"
    found = edgevit(*SMALL, "--r", 3, "--image", pictures / "cat" / "0.png", "--show", place)
    assert found.exit_code == 0, found.output
    with Image.open(place) as drawn:
        assert drawn.size == (4 * 128 + 3 * 8, 128)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--r", "x"], "--r is 'x': give numbers"),
        (["--r", "4,[2"], "--r is '4,[2': give numbers"),
        (["--r", "[1,2,3]"], "give one number of 0 or more, or one for each of the"),
        (["--max-drop", "1"], "--max-drop needs --data"),
        (["--show", "x.png"], "belong together"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where `-o` is, unless it is told
    found = edgevit(*SMALL, *arguments)
    assert found.exit_code != 0
    assert words in str(found.exception) + found.output


def test_pictures_are_those_of_a_folder_or_of_its_folders(pictures, tmp_path):
    assert [p.label for p in pictures_in(pictures, "--data")] == [0, 0, 0, 1, 1, 1]
    assert [p.label for p in pictures_in(pictures / "cat", "--data")] == [None] * 3
    with pytest.raises(InputError, match=r"--data: .* holds none of"):
        pictures_in(tmp_path, "--data")
