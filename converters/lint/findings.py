"""A file held against the rules for an accelerator: which it breaks, where, and what cures that."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ..explain.explanation import Explanation, Node
from .rule import CONFIDENCE, EFFECTS, Rule, Ruleset

SAID = "No latency is predicted: what runs where, and how fast, only the device can tell."


@dataclass(frozen=True)
class Finding:
    """nodes: those that break the rule, in order; none where it is about the file's inputs."""

    rule: Rule
    nodes: tuple[Node, ...]

    @property
    def ops(self) -> dict[str, int]:
        return dict(Counter(n.op for n in self.nodes).most_common())

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(n.module for n in self.nodes if n.module))

    def as_dict(self) -> dict[str, Any]:
        rule = self.rule
        return {
            "rule": rule.name,
            "effect": rule.effect,
            "confidence": rule.confidence,
            "says": rule.says,
            "source": list(rule.source),
            "since": rule.since or None,
            "until": rule.until or None,
            "ops": self.ops,
            "modules": list(self.modules),
            "cures": list(rule.cures),
            "instead": rule.instead or None,
        }


@dataclass(frozen=True)
class Lint:
    """findings: what keeps the file off first, advice last, the surest first among those."""

    file: str
    rules: Ruleset
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Those that are enough to fail the file for."""
        return tuple(f for f in self.findings if f.rule.strict)

    @property
    def summary(self) -> str:
        """ "litert-gpu@2.3.0: 2 rules broken, 1 more by report"."""
        judged = [f for f in self.findings if f.rule.effect != "advice"]
        sure, reported = len(self.broken), len(judged) - len(self.broken)
        text = f"{self.rules.label}: {_rules(sure)} broken" if sure else f"{self.rules.label}: "
        if sure and reported:
            text += f", {reported} more by report"
        elif not sure:
            text += f"{_rules(reported)} broken by report" if reported else "no rule broken"
        advice = len(self.findings) - len(judged)
        return text + (f"; advice on {advice} thing{'s' * (advice != 1)}" if advice else "")

    def as_dict(self) -> dict[str, Any]:
        return {
            "rules": self.rules.label,
            "title": self.rules.title,
            "held_against": list(self.rules.held_against),
            "doubt": self.rules.doubt or None,
            "summary": self.summary,
            "said": SAID,
            "findings": [f.as_dict() for f in self.findings],
        }


def against(file: Explanation, rules: Ruleset) -> Lint:
    found = []
    for rule in rules.rules:
        if not rule.holds_for(rules.version):
            continue
        if rule.pattern.of_the_file:
            if rule.pattern.flexible == file.flexible:
                found.append(Finding(rule, ()))
        elif nodes := tuple(n for n in file.nodes if rule.pattern.holds(n, file)):
            found.append(Finding(rule, nodes))
    found.sort(key=lambda f: (EFFECTS.index(f.rule.effect), CONFIDENCE.index(f.rule.confidence)))
    return Lint(file.file, rules, tuple(found))


def _rules(count: int) -> str:
    return f"{count} rule{'s' * (count != 1)}"
