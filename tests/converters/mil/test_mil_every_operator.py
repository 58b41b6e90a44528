"""No operator of the evaluator is without a test, and none is tested that it has not.

Each file of tests keeps its cases in CASES, by what begins with the operator's name, and runs all.
"""

from importlib import import_module
from pathlib import Path

from cases import op_of

from edgevit.converters.mil import evaluate  # noqa: F401  (it fills the table)
from edgevit.converters.mil.operators import OPERATORS


def test_every_operator_is_tested():
    files = sorted(Path(__file__).parent.glob("test_mil_*.py"))
    tables = [getattr(import_module(file.stem), "CASES", {}) for file in files]
    assert sum(map(bool, tables)) > 12
    assert {op_of(name) for table in tables for name in table} == set(OPERATORS)
