"""What an artifact's file says about where its graph runs, the same for every format.

Explanation ── nodes in order of execution ── each in a partition, or outside with a reason
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Node:
    """One operator of the file.

    module: path in the user's model, "" where the file does not tell. partition: index of the
    delegate's graph it runs in, None outside. seconds: the estimate of cost.py. reason: why it is
    outside. cures: names of rewrites that would remove it, none known where empty. macs: its
    multiply-accumulates; size_bytes: of all that it reads and writes, weights included.

    What only the lint asks for, and only some readers tell. dtype: of the result. inputs: shapes of
    what it reads, without constants. reads: where each of its inputs comes from: an operator,
    "input", "image", or "constant INT8". then: the operators that read its result. dilation: the
    largest, of a convolution.
    """

    op: str
    shape: tuple[int, ...]
    module: str
    partition: int | None
    seconds: float
    reason: str = ""
    cures: tuple[str, ...] = ()
    dtype: str = ""
    inputs: tuple[tuple[int, ...], ...] = ()
    reads: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    dilation: int = 1
    macs: float = 0.0
    size_bytes: int = 0

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """Of `asdict`, as it comes out of JSON."""
        lists = {k: tuple(d[k]) for k in ("shape", "cures", "reads", "then")}
        return cls(**d | lists | {"inputs": tuple(map(tuple, d["inputs"]))})


@dataclass(frozen=True)
class Partition:
    """One graph handed to the delegate; ops: operator → count, share: of the estimated time."""

    index: int
    ops: dict[str, int]
    share: float

    @property
    def nodes(self) -> int:
        return sum(self.ops.values())


@dataclass(frozen=True)
class Explanation:
    """delegate: its name, or None where the file's runtime has none or nobody can know.

    said: what holds for this kind of file. remarks: what was noticed in this one. flexible: how a
    Core ML file declares inputs of many sizes, "range" or "enumerated"; "" where all are fixed.
    """

    file: str
    target: str
    delegate: str | None
    nodes: tuple[Node, ...]
    said: str
    remarks: tuple[str, ...] = ()
    flexible: str = ""

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """Of `asdict`, as it comes out of JSON."""
        nodes = tuple(map(Node.from_dict, d["nodes"]))
        return cls(**d | {"nodes": nodes, "remarks": tuple(d["remarks"])})

    def share(self, *nodes: Node) -> float:
        """Estimated part of the file's whole time, 0 to 1."""
        whole = sum(n.seconds for n in self.nodes)
        return sum(n.seconds for n in nodes) / whole if whole else 0.0

    @property
    def outside(self) -> tuple[Node, ...]:
        """What runs outside the delegate; nothing where there is no delegate."""
        if self.delegate is None:
            return ()
        return tuple(n for n in self.nodes if n.partition is None)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """In order of execution."""
        inside: dict[int, list[Node]] = {}
        for n in self.nodes:
            if n.partition is not None:
                inside.setdefault(n.partition, []).append(n)
        return tuple(
            Partition(i, dict(Counter(n.op for n in nodes).most_common()), self.share(*nodes))
            for i, nodes in inside.items()
        )

    @property
    def summary(self) -> str:
        """ "62 partitions in XNNPACK, 207 operators outside it, ≈ 40 % of the time"."""
        if self.delegate is None:
            return f"{len(self.nodes)} operators, no delegate"
        parts, out = len(self.partitions), self.outside
        text = f"{parts} partition{'s' * (parts != 1)} in {self.delegate}, "
        if not out:
            return text + "nothing outside"
        share = f"≈ {self.share(*out):.0%} of the time"
        return text + f"{len(out)} operator{'s' * (len(out) != 1)} outside, {share}"

    def as_dict(self) -> dict[str, Any]:
        """For machines: shares 0 to 1 beside what the file says."""

        def row(n: Node) -> dict[str, Any]:
            return {
                "op": n.op,
                "shape": list(n.shape),
                "module": n.module or None,
                "reason": n.reason or None,
                "cures": list(n.cures),
                "share": self.share(n),
            }

        ops = Counter[str]()
        for n in self.nodes:
            ops[n.op] += 1
        seconds = {op: self.share(*(n for n in self.nodes if n.op == op)) for op in ops}
        return {
            "file": self.file,
            "target": self.target,
            "delegate": self.delegate,
            "summary": self.summary,
            "said": self.said,
            "remarks": list(self.remarks),
            "partitions": [
                {"index": p.index, "nodes": p.nodes, "ops": p.ops, "share": p.share}
                for p in self.partitions
            ],
            "outside": [row(n) for n in self.outside],
            "operators": [
                {"op": op, "count": ops[op], "share": s}
                for op, s in sorted(seconds.items(), key=lambda item: -item[1])
            ],
        }
