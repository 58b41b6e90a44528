"""Tables of an Explanation: partitions, what is outside them, or the operators by their share."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from .tables import table_of

if TYPE_CHECKING:
    from ..converters.explain import Explanation
    from ..converters.explain.explanation import Node, Partition


def parts(found: "Explanation", *, verbose: bool) -> list[Table | Text]:
    """verbose: every partition and every operator outside, instead of kinds of them."""
    from ..converters.explain.cost import ESTIMATE

    shown: list[Table | Text] = [Text(f"{found.file}: {found.summary}", "bold")]
    if found.partitions:
        shown.append(_partitions(found, each=verbose))
    if found.outside:
        shown += [Text(), _outside(found, each=verbose)]
    elif found.delegate is None:
        shown.append(_operators(found))
    shown += [Text(), *(Text(f"note: {remark}", "yellow") for remark in found.remarks)]
    return [*shown, Text(f"{found.said} {ESTIMATE}.", "dim")]


def percent(share: float) -> str:
    return "< 0.1 %" if 0 < share < 0.001 else f"{share * 100:.1f} %"


def _partitions(found: "Explanation", *, each: bool) -> Table:
    """One row per kind of partition, in order of execution, or one per partition."""
    table = table_of(
        ("partition", "left", 0),
        ("nodes", "right", 0),
        ("≈ share", "right", 0),
        ("inside", "left", 1),
    )
    kinds: dict[object, list[Partition]] = {}
    for p in found.partitions:
        kinds.setdefault(p.index if each else tuple(p.ops.items()), []).append(p)
    for alike in kinds.values():
        ops = list(alike[0].ops.items())
        inside = ", ".join(f"{count} {op}" for op, count in ops[:6])
        rest = len(ops) - 6
        more = f", {rest} other kind{'s' * (rest != 1)}" if rest > 0 else ""
        first, last = alike[0].index, alike[-1].index
        named = f"{first} … {last} ({len(alike)} alike)" if len(alike) > 1 else str(first)
        nodes = f"{len(alike)} × {alike[0].nodes}" if len(alike) > 1 else str(alike[0].nodes)
        table.add_row(named, nodes, percent(sum(p.share for p in alike)), inside + more)
    return table


def _outside(found: "Explanation", *, each: bool) -> Table:
    """One row per operator and reason with its count, or one per operator."""
    paths = any(n.module for n in found.outside)  # not every format tells them
    table = table_of(
        ("outside" if each else "n", "left" if each else "right", 0),
        ("shape" if each else "outside", "left", 0),
        ("≈ share", "right", 0),
        *([("module", "left", 1)] if paths else []),
        ("why", "left", 2),
        ("rewrite", "left", 1),
    )
    groups: dict[tuple[object, ...], list[Node]] = {}
    for i, n in enumerate(found.outside):
        key = (i,) if each else (n.op, n.reason, n.cures)
        groups.setdefault(key, []).append(n)
    rows = list(groups.values())
    if not each:
        rows.sort(key=lambda nodes: -found.share(*nodes))
    for nodes in rows:
        n = nodes[0]
        shapes = "×".join(map(str, n.shape)) or "scalar"
        modules = list(dict.fromkeys(n.module for n in nodes if n.module))
        more = f" and {len(modules) - 1} more" if len(modules) > 1 else ""
        table.add_row(
            *((n.op, shapes) if each else (str(len(nodes)), n.op)),
            percent(found.share(*nodes)),
            *([(modules[0] + more) if modules else "–"] if paths else []),
            n.reason,
            " or ".join(n.cures) or "none known",
        )
    return table


def _operators(found: "Explanation") -> Table:
    """Where there is no delegate: kinds of operators by their share."""
    table = table_of(
        ("operator", "left", 0),
        ("n", "right", 0),
        ("≈ share", "right", 0),
        ("most of it", "left", 1),
    )
    for row in found.as_dict()["operators"]:
        of_kind = [n for n in found.nodes if n.op == row["op"]]
        top = max(of_kind, key=lambda n: n.seconds)
        most = " ".join(filter(None, [top.module, "×".join(map(str, top.shape))]))
        table.add_row(row["op"], str(row["count"]), percent(row["share"]), most)
    return table
