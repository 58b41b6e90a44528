"""Rules by release, what fails a file, wrong names, and where modules are told from."""

import re

import pytest
from told import broken, file, node

from edgevit.converters.explain.mlpackage import module_path
from edgevit.converters.lint import find, lint
from edgevit.errors import InputError, UnknownName


@pytest.mark.parametrize(
    ("asked", "flagged"),
    [
        ("2.1.3", False),
        ("2.1.4", False),
        ("2.1.5", True),
        ("2.1", True),
        ("2.3.0", True),
        ("2", True),
    ],
)
def test_a_rule_holds_from_the_release_that_brought_it(asked, flagged):
    found = lint(file("tflite", node("RELU_0_TO_1")), f"litert-gpu@{asked}")
    assert bool(found.broken) == flagged
    assert found.summary.startswith(f"litert-gpu@{asked}: {'1 rule' if flagged else 'no rule'}")
    assert not found.rules.doubt


def test_a_rule_ends_with_the_release_that_mended_it():
    masked = node("ADD", (1, 4, 8, 8), inputs=((1, 4, 8, 8), (1, 1, 8, 8)), reads=("BATCH_MATMUL",))
    for asked, flagged in (("2.1.5", True), ("2.1.6", False), ("2.1", True), ("2.2", False)):
        assert bool(broken(file("tflite", masked), f"litert-gpu@{asked}")) == flagged
    assert not broken(file("tflite", masked), "litert-gpu")  # the newest


def test_advice_and_reports_do_not_fail_a_file():
    turned = file("coreml", node("transpose", (1, 4, 8), dtype="FLOAT16"))
    assert set(broken(turned, "ane")) == {"copies"}
    assert not lint(turned, "ane").broken
    reported = lint(file("coreml", node("softplus", dtype="FLOAT16")), "ane")
    assert reported.summary == "ane: 1 rule broken by report"
    assert not reported.broken
    both = lint(file("coreml", node("softplus"), node("linear", (1, 6, 8))), "ane")
    assert both.summary == "ane: 1 rule broken; advice on 1 thing"
    assert [f.rule.effect for f in both.findings] == ["off", "advice"]
    (first, _) = both.as_dict()["findings"]
    assert first["ops"] == {"softplus": 1, "linear": 1}
    assert (first["modules"], first["confidence"]) == (["a.b"], "documented")


def test_padding_is_advice_for_maps_of_known_sizes():
    for shape, flexible, flagged in (
        ((1, 64, 32, 1), "", True),
        ((1, 64, 1, 1), "", False),
        ((1, 64, 1, 32), "", False),
        ((1, 64, 32, 1), "range", False),
    ):
        found = broken(
            file("coreml", node("relu", shape, dtype="FLOAT16"), flexible=flexible), "ane"
        )
        assert ("last-axis-of-one" in found) == flagged


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("anee", "did you mean 'ane'"),
        ("ane@17", "not kept by version"),
        ("litert-gpu@new", "ask for litert-gpu@2.3.0"),
        ("litert-gpu@", "'' is no version"),
    ],
)
def test_wrong_names(asked, words):
    with pytest.raises(UnknownName if "mean" in words else InputError, match=re.escape(words)):
        find(asked)


def test_the_wrong_format_and_releases_nobody_tried():
    with pytest.raises(InputError, match="for coreml files, this one is tflite's"):
        lint(file("tflite", node("ADD")), "ane")
    assert find("litert-gpu@3.0").doubt.endswith("2.1.3 to 2.3.0, not against 3.0")
    assert find("litert-gpu@1").doubt
    assert not find("ane").doubt


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("p_layers_0_blocks_0_mlp_fc1_weight_to_fp16", "layers_0_blocks_0_mlp_fc1"),
        ("p_head_bias_to_fp16_quantized", "head"),
        ("b_norm_running_mean", "norm"),
        ("conv_0_pad_0", ""),
        ("p_weight", ""),
    ],
)
def test_modules_are_told_from_names_of_weights(name, path):
    assert module_path(name) == path
