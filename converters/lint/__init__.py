"""What keeps a file off an accelerator that is not here, by rules with a source each.

The rules are data: RULESETS names their tables, `rule.py` says what a rule is, `findings.py` holds
a file against them. No latency is predicted.
"""

import re
from pathlib import Path

from edgevit.errors import InputError
from edgevit.lookup import lookup

from ..explain.explanation import Explanation
from .findings import Lint, against
from .rule import Ruleset

__all__ = ["RULESETS", "Lint", "Ruleset", "find", "lint"]

# Each is a table of this folder, with underscores for the hyphens.
RULESETS = ("ane", "litert-gpu", "qualcomm-npu")
FOLDER = Path(__file__).parent


def find(asked: str) -> Ruleset:
    """Of "litert-gpu", the newest release its rules were held against, or "litert-gpu@2.1"."""
    name, at, version = asked.partition("@")
    name = lookup("rules", name, {n: n for n in RULESETS})
    rules = Ruleset.read(FOLDER / f"{name.replace('-', '_')}.toml", name)
    if not at:
        return rules
    if not rules.held_against:
        raise InputError(f"the rules of {name} are not kept by version; ask for {name} alone")
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise InputError(f"{version!r} is no version; ask for {name}@{rules.held_against[-1]}")
    return rules.at(version)


def lint(explanation: Explanation, rules: Ruleset | str) -> Lint:
    """Hold an explained file against rules; InputError where they are for another format."""
    found = find(rules) if isinstance(rules, str) else rules
    found.check(explanation.target)
    return against(explanation, found)
