"""What the graph rewrites did stands on the card; a form that fails gives way to the plain one."""

from edgevit.pipeline import make


def test_the_card_says_what_was_rewritten(run, tmp_path):
    (outcome,) = run(tmp_path, "fond")
    report = outcome.artifact.card.rewrites
    assert report["applied"]["sum_by_mean"] == 1
    assert report["left_alone"] is None


def test_a_target_without_rewrites_gets_none(run, tmp_path):
    (outcome,) = run(tmp_path, "null")
    assert outcome.artifact.card.rewrites is None


def test_a_runtime_that_refuses_the_rewritten_form_gets_the_plain_one(run, tmp_path):
    (outcome,) = run(tmp_path, "averse")
    report = outcome.artifact.card.rewrites
    assert report["applied"] == {}
    assert "once rewritten, the process died of SIGSEGV" in report["left_alone"]


def test_the_form_with_fewer_cuts_is_kept(run, tmp_path, monkeypatch):
    """The rewritten one leaves more outside the delegate than the plain one."""
    lowered = make.Maker._lowered

    def placed(self, job, made, log, rewrites):
        report, _, agreed = lowered(self, job, made, log, rewrites)
        cuts = {"delegate": "D", "partitions": 1, "outside": {} if rewrites == () else {"cat": 2}}
        return report, cuts, agreed

    monkeypatch.setattr(make.Maker, "_lowered", placed)
    (outcome,) = run(tmp_path, "fond")
    card = outcome.artifact.card
    assert card.placement.outside == {}
    assert "3 partitions and operators outside them, 1 without" in card.rewrites["left_alone"]
