"""Rules are chosen by what they were measured to bring, never against it."""

import pytest
import torch
from check_rule import export

from edgevit.converters.rewrites import NAMES
from edgevit.converters.rewrites.cases import CASES
from edgevit.converters.rewrites.choice import Costs
from edgevit.converters.rewrites.rule import rewrite, rules
from edgevit.converters.target import TARGETS, find
from edgevit.errors import InputError

FORMS = [form for case in CASES for form in case.forms]


def test_what_was_measured_to_be_slower_is_left_out():
    costs = Costs(speed={"elu_by_clamps": (0.9, 0.85, 0.95), "mish_by_log": (0.99, 0.97, 1.01)})
    chosen = {rule.name for rule in costs.chosen(rules(NAMES))}
    assert {rule.name for rule in rules(NAMES)} - chosen == {"elu_by_clamps"}


def test_of_two_forms_the_faster_one_is_taken():
    branches, wider = "repeat_by_branches", "repeat_by_wider_weights"
    costs = Costs(speed={branches: (1.1, 1.0, 1.2), wider: (1.3, 1.2, 1.4)})
    assert costs.pays(wider)
    assert not costs.pays(branches)
    neither = Costs(speed=dict.fromkeys((branches, wider), (0.8, 0.7, 0.9)))
    assert not neither.pays(branches)
    assert not neither.pays(wider)


def test_a_table_comes_back_as_it_was_written(tmp_path):
    costs = Costs({"cpu": "x"}, {"elu_by_clamps": (1.25, 1.0, 1.5), "mish_by_log": (0.0,) * 3})
    file = tmp_path / "costs.toml"
    file.write_text(costs.as_toml())
    assert Costs.read(file) == costs


@pytest.mark.parametrize(
    "text", ["", "[speed]\na = 1\n[measured]", "[measured]\n[speed]\na = [1.0]", "{", None]
)
def test_another_file_is_refused_in_a_sentence(tmp_path, text):
    file = tmp_path / "costs.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match="edgevit bench rewrites"):
        Costs.read(file)


def test_the_tables_that_come_along_name_every_form_and_nothing_else():
    for target in TARGETS:
        measured = Costs.of(target)
        assert set(measured.speed) == (set(FORMS) if find(target).rewrites == NAMES else set())
        assert all(low <= value <= high for value, low, high in measured.speed.values())


@pytest.mark.parametrize("form", FORMS)
def test_a_case_holds_what_its_form_is_for(form):
    (case,) = (c for c in CASES if form in c.forms)
    names = [r.name for r in rules(NAMES) if r.name == form or r.name not in FORMS]
    _, report = rewrite(export(case.net(), torch.randn(case.shape)), rules(names))
    assert report.applied[form] > 0
