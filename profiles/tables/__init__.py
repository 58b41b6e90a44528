"""Published tables with where they come from; see table.py."""

from .table import NAMES, PUBLISHED, Table, load

__all__ = ["NAMES", "PUBLISHED", "Table", "load"]
