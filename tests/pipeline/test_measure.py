"""The measurement behind the choice of rewrites, in children of its own."""

from edgevit.converters.rewrites.cases import CASES
from edgevit.pipeline.measure import measure


def test_a_form_is_timed_against_the_graph_without_it():
    seen = []
    case = next(c for c in CASES if c.forms == ("elu_by_clamps",))
    costs = measure("null", rounds=3, cases=(case,), watch=lambda job, stage: seen.append(stage))
    value, low, high = costs.speed["elu_by_clamps"]
    assert 0 < low <= value <= high
    assert costs.measured["runtime"].startswith("torch")
    assert seen == ["1/1 elu_by_clamps", "done"]
