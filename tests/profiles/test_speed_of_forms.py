"""What a rewrite's two timings say of it, from runs of known truth."""

from known_runs import quiet

from edgevit.converters.rewrites.choice import Costs
from edgevit.errors import ChildDied
from edgevit.pipeline.measure import speed

RULE = "elu_by_clamps"


def test_a_form_that_halves_the_time_is_twice_as_fast():
    value, low, high = speed(quiet(0.010), quiet(0.005, seed=1))
    assert low <= value <= high
    assert 1.99 < value < 2.01


def test_a_form_that_does_not_run_is_never_chosen():
    assert not Costs(speed={RULE: speed(quiet(), ChildDied("it aborted"))}).pays(RULE)


def test_a_form_without_which_nothing_runs_always_is():
    costs = Costs(speed={RULE: speed(ChildDied("it aborted"), quiet())})
    assert costs.pays(RULE)
    assert "inf" in costs.as_toml()
