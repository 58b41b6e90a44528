"""Explanations by hand, as readers of files tell them, and the rules they break."""

from edgevit.converters.explain.explanation import Explanation, Node
from edgevit.converters.lint import lint


def node(op, shape=(1, 8), **told):
    return Node(op, shape, "a.b", None, 1.0, **{"dtype": "FLOAT32", "inputs": (shape,)} | told)


def file(target, *nodes, flexible=""):
    return Explanation("net", target, None, nodes, "", (), flexible)


def broken(explanation, rules):
    """Rule → Finding."""
    return {f.rule.name: f for f in lint(explanation, rules).findings}
