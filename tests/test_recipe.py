"""A recipe holds what was chosen, refuses what means nothing, and names the file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import InputError, UnknownName
from edgevit.recipe import Recipe, chosen_by

RECIPES = st.builds(
    Recipe,
    model=st.text(min_size=1),
    weights=st.none() | st.text(min_size=1),
    num_classes=st.none() | st.integers(1),
    input_size=st.none() | st.integers(1, 4096),
    seed=st.integers(),
    embed_preprocess=st.booleans(),
    tome=st.none()
    | st.integers(0, 99)
    | st.just("9..0")
    | st.lists(st.integers(0, 99), min_size=1).map(tuple),
    precision=st.sampled_from(["fp32", "fp16"]),
    ios=st.integers(15, 18),
)


@given(RECIPES)
def test_plain_values_and_back(recipe):
    assert Recipe.from_dict(recipe.as_dict()) == recipe
    assert Recipe.from_dict(recipe.as_dict() | {"of a newer edgevit": 1}) == recipe


@given(RECIPES)
def test_the_file_name_stays_in_its_folder(recipe):
    assert "/" not in recipe.stem
    assert (Path("out") / (recipe.stem + ".pte")).parent == Path("out")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"num_classes": 0}, "num_classes must be at least 1, not 0"),
        ({"input_size": -3}, "input_size must be at least 1, not -3"),
        ({"ios": 14}, "iOS 14 is not one of 15 to 18"),
        ({"pretrained": True, "weights": "w.pth"}, "exclude each other"),
        ({"precision": "fp61"}, "did you mean 'fp16'"),
    ],
)
def test_what_means_nothing_is_refused(values, words):
    with pytest.raises(InputError, match=words) as e:
        Recipe("m", **values)
    assert isinstance(e.value, UnknownName) == ("precision" in values)


@pytest.mark.parametrize(
    ("model", "title", "file"),
    [
        ("efficientmod_xxs", "efficientmod_xxs", None),
        ("timm:resnet18.a1_in1k", "resnet18.a1_in1k", None),
        ("my nets/net.py:Net", "Net", "my nets/net.py"),
        ("/a:b/net.py:Net", "Net", "/a:b/net.py"),
        ("hub/model", "hub_model", None),
    ],
)
def test_title_and_file(model, title, file):
    recipe = Recipe(model)
    assert recipe.title == recipe.stem == title
    assert recipe.user_file == (Path(file) if file else None)
    assert Recipe(model, precision="fp16").stem == f"{title}-fp16"


@pytest.mark.parametrize(
    ("words", "chosen", "stem"),
    [
        ("tome13", {"tome": 13}, "m-tome13"),
        ("tome[16,8,0]-w4-sparse", {"tome": (16, 8, 0), "precision": "w4-sparse"}, None),
        ("tome8-fp16", {"tome": 8, "precision": "fp16"}, "m-tome8-fp16"),
        ("tome[4,2]", {"tome": (4, 2)}, "m-tome4_2"),
        ("tome26..0-fp16", {"tome": "26..0", "precision": "fp16"}, "m-tome26..0-fp16"),
        ("w4", {"precision": "w4"}, "m-w4"),
        ("prune0.6x-rep-w8", {"prune": "0.6x", "precision": "w8"}, None),
        ("prunelatency=8ms-tome4", {"prune": "latency=8ms", "tome": 4}, None),
        ("rep", {}, "m"),
    ],
)
def test_a_recipe_in_words(words, chosen, stem):
    assert chosen_by(words) == chosen
    assert stem is None or Recipe("m", **chosen).stem == stem


@pytest.mark.parametrize(
    "words",
    [
        "",
        "prune",
        "tome4-prune0.6x",
        "prune0.6xw8",
        "tome",
        "tome13fp16",
        "tome[]",
        "tome-1",
        "tome3..",
        "fp16-tome13",
        "w5",
    ],
)
def test_other_words_are_no_recipe(words):
    with pytest.raises(InputError, match="tome13 merges 13 tokens"):
        chosen_by(words)


@pytest.mark.parametrize("words", ["w8a16", "tome13-w8a16"])
def test_what_no_runtime_gains_by_is_refused_with_the_reason(words):
    with pytest.raises(UnknownName, match=r"XNNPACK.* has no such kernels.*take w8a8"):
        chosen_by(words)
    with pytest.raises(UnknownName, match="no runtime here gains by w8a16"):
        Recipe("m", precision="w8a16")
