"""No operator of the evaluator is without a test, and none is tested that it has not.

Each file of tests for a category keeps its cases in CASES, by the operator's name.
"""

import ast
import re
from pathlib import Path

from programs import op_of

from edgevit.converters.mil import evaluate  # noqa: F401  (it fills the table)

CASES = re.compile(r"^CASES\b[^=]*= \{", re.MULTILINE)
FILES = [
    f for f in sorted(Path(__file__).parent.glob("test_mil_*.py")) if CASES.search(f.read_text())
]


def named(file: Path) -> set[str]:
    """What begins a text that is a key of a dictionary, plain or composed."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        keys = node.keys if isinstance(node, ast.Dict) else []
        keys = [node.key] if isinstance(node, ast.DictComp) else keys
        for key in keys:
            first = key.values[0] if isinstance(key, ast.JoinedStr) else key
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(op_of(first.value))
    return found
