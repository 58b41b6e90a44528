"""Placement rules: each fires on the graph its source cites, and passes the cured form."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from told import broken, file, node

from edgevit.converters.explain.explanation import Explanation
from edgevit.converters.lint import RULESETS, find, lint
from edgevit.converters.lint.rule import CONFIDENCE, EFFECTS
from edgevit.converters.rewrites import NAMES

HERE = Path(__file__).parent
RULES = {(name, rule.name): rule for name in RULESETS for rule in find(name).rules}
SOURCE = re.compile(r"https://\S+|[\w-]+/[\w-]+#\d+|run: .+")


# What the converters here do not make: rule → what breaks it, its cured form.
BY_HAND = {
    ("ane", "rank-over-5"): (
        node("reshape", (1, 96, 14, 2, 14, 2), dtype="FLOAT16"),
        node("reshape", (96, 14, 2, 14, 2), dtype="FLOAT16"),
    ),
    ("litert-gpu", "new-axes"): (node("EXPAND_DIMS", (1, 1, 8)), node("RESHAPE", (1, 1, 8))),
    ("litert-gpu", "int64"): (node("ARG_MAX", dtype="INT64"), node("ARG_MAX", dtype="INT32")),
    ("litert-gpu", "detection-postprocess"): (
        node("TFLite_Detection_PostProcess", (1, 10, 4)),
        node("CONCATENATION", (1, 19206, 4)),
    ),
    ("litert-gpu", "composite"): (node("STABLEHLO_COMPOSITE"), node("SOFTMAX")),
}
# Made by known_graph_files.py: rules with graphs in bad.* and good.*, or in files of their own.
TOGETHER = {
    "tflite": (
        "rank-over-4 rank-0 broadcast-to gather-nd relu-0-to-1 no-kernel selection masked-product "
        "sum-in-half not-listed"
    ),
    "coreml": (
        "grid-sample indices dilated softplus log-sum-exp linear-hard-swish last-axis-of-one "
        "linear-layers"
    ),
}
APART = {
    "tflite": "broadcast-to sum-in-half int8-residual",
    "coreml": (
        "softplus copies fp32 recurrent range-of-sizes enumerated-layer-norm image-as-it-is "
        "linear-quantized"
    ),
}
CASES = [
    (target, rule, prefix)
    for target in TOGETHER
    for rules, prefix in ((TOGETHER, ""), (APART, "{}."))
    for rule in rules[target].split()
]


def ruleset_of(target, rule):
    """Of the release that the rule holds for."""
    (name,) = (n for n, r in RULES if r == rule and find(n).target == target)
    until = RULES[name, rule].until
    return f"{name}@{until}" if until else name


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Target → file → what the reader tells of it; each target's graphs are made once."""
    kept = {}

    def tell(target):
        if target not in kept:
            folder = tmp_path_factory.mktemp(target)
            script = [sys.executable, HERE / "known_graph_files.py", target, folder]
            subprocess.run(script, check=True, capture_output=True, cwd=HERE.parents[1])
            kept[target] = json.loads((folder / "told.json").read_text())
        return kept[target]

    return tell


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_a_rule_says_enough(name, rule):
    r = RULES[name, rule]
    assert r.says
    assert r.source
    assert all(SOURCE.fullmatch(s) for s in r.source), r.source
    assert r.confidence in CONFIDENCE
    assert r.effect in EFFECTS
    assert (r.confidence == "certain") == any(s.startswith("run: ") for s in r.source)
    assert all(re.fullmatch(r"[\d.]*", version) for version in (r.since, r.until))


def test_every_rule_has_a_graph_and_every_cure_is_a_rewrite():
    from edgevit.converters.rewrites.rule import rules

    made = {(ruleset_of(t, r).partition("@")[0], r) for t, r, _ in CASES}
    assert made | set(BY_HAND) == set(RULES)
    known = {r.name for r in rules(NAMES)}
    assert {cure for r in RULES.values() for cure in r.cures} <= known
    # A rewrite is named only where a file shows that it cures.
    shown = {
        cure
        for (_, r), rule in RULES.items()
        if r in " ".join(APART.values()).split()
        for cure in rule.cures
    }
    assert {cure for r in RULES.values() for cure in r.cures} == shown


@pytest.mark.parametrize(("name", "rule"), BY_HAND)
def test_a_graph_by_hand_is_flagged_and_its_cured_form_passes(name, rule):
    bad, good = BY_HAND[name, rule]
    target = find(name).target
    assert broken(file(target, bad), name)[rule].nodes == (bad,)
    assert not lint(file(target, good), name).broken


@pytest.mark.slow
@pytest.mark.parametrize(("target", "rule", "prefix"), CASES)
@pytest.mark.needs("litert_torch", "ai_edge_quantizer", "coremltools")
def test_a_cited_graph_is_flagged_and_its_cured_form_passes(made, target, rule, prefix):
    bad, good = (
        Explanation.from_dict(made(target)[prefix.format(rule) + form]) for form in ("bad", "good")
    )
    rules = ruleset_of(target, rule)
    found = broken(bad, rules)[rule]
    own = {rule.replace("-", "_"), f"{rule.replace('-', '_')}_layer"}
    assert not found.modules or prefix or own & set(found.modules)
    assert rule not in broken(good, rules)
