"""bench(): a paper's latency table measured here, row by row, each beside the paper's baseline.

per row     build ── convert and verify ── measure with the baseline, and with the rewritten
            form for a target other than the paper's
resumable   what a row needs stands in the folder when it is done; only what lacks is made
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from .. import models, sandbox
from ..converters.artifact import Artifact
from ..converters.target import check_host, require
from ..errors import EdgevitError, InputError, sound
from ..lookup import lookup
from ..profiles import bench as loop
from ..profiles import gpu
from ..profiles.devices import host
from ..profiles.report import contents, html
from ..profiles.report.scatter import Point
from ..profiles.reproduce import Reproduced, reproduced
from ..profiles.run import LIKE, Run
from ..profiles.tables import Table, load
from ..profiles.tables.table import Row
from ..profiles.variant import Item
from ..recipe import Recipe
from ..sandbox import Child
from ..staging import write_text
from ..template import sharing
from .convert import Limits, convert
from .ops import profile_ops
from .profile import item_of

PROTOCOL = {"cpu": (50, 80), "gpu": (50, 400)}  # warm-ups and timed runs, whose mean is printed
# Before they take times, the papers fold what only training needs.
FOLDED = ("affine", "sums", "branches")
PAPERS = "onnx"  # the runtime that papers time on CPUs: there the table is of the plain form alone
Watch = Callable[[str, str], None]


def bench(
    table: str,
    *,
    out: Path,
    rows: Sequence[str] = (),
    target: str = PAPERS,
    threads: int = 1,
    rounds: int = 30,
    every: int = 1,
    device: str = "",
    limits: Limits = Limits(),
    watch: Watch = lambda row, stage: None,
) -> Iterator[Reproduced | EdgevitError]:
    """Each row of `table` as it comes out here, or the error that ended it; the others go on.

    rows: by their name or their model's; all if empty, of which `every` n-th in the order of the
    printed time. out: the folder for files and samples, in which an interrupted bench goes on.
    target: or one of gpu.RUNTIMES, which is held against the times printed of a GPU. device: a name
    in place of the hardware's own.
    """
    found = load(table)
    column = "gpu" if target in gpu.RUNTIMES else "cpu"
    if column == "cpu":
        require(target, check_host(target).needs)
    chosen = _chosen(found, rows, every, column)
    baseline = next(row for row in found.rows if row["row"] == found.baseline)
    one = _Bench(baseline, out / target, column, target, threads, rounds, device, limits, watch)
    # All are made before the first is timed, or they disturb.
    with sharing("timm"), ThreadPoolExecutor(2) as pool:
        made = {row["model"]: pool.submit(one.files, row) for row in (baseline, *chosen)}
        try:
            wait(made.values())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            sandbox.close_all()
            raise
    for row in chosen:
        try:
            files = made[row["model"]].result()
            yield one.row(row, made[baseline["model"]].result(), files)
        except EdgevitError as e:
            yield type(e)(f"{row['row']}: {e}")
        watch(row["row"], "done")


def why(out: Path, target: str, row: Reproduced) -> str:
    """What a row's time goes into: the three heaviest kinds of operators."""
    if target in gpu.RUNTIMES:
        return "operators are timed on the CPU only"
    (found,) = profile_ops([_plain(out, target, row)], runs=10)
    if isinstance(found, EdgevitError):
        return f"its operators cannot be timed: {found}"
    heaviest = [
        f"{found.share(kind):.0%} {kind.kind}"
        + (f" at {of_peak:.0%} of peak" if (of_peak := found.of_peak(kind)) else "")
        for kind in found.grouped("kind")[:3]
    ]
    return ", ".join(heaviest)


def page(file: Path, table: str, out: Path, target: str, rows: Sequence[Reproduced]) -> None:
    """The report of these rows, with the paper's times and accuracies beside ours, as HTML."""
    found = load(table)
    printed = {row["model"]: row["top1_pct"] or row["top1_distilled_pct"] for row in found.rows}
    first = rows[0]
    base_ms = first.measured.median_s * 1e3 / first.times.value
    points = [Point(found.baseline, first.paper_ms / first.paper_times, base_ms)]
    accuracy = []
    for row in rows:
        ms, low, high = (base_ms * v for v in (row.times.value, row.times.low, row.times.high))
        if row.row != found.baseline:
            points.append(Point(row.row, row.paper_ms, ms, low, high))
        if printed[row.model]:
            accuracy.append(Point(row.row, ms, float(printed[row.model])))
    files = [Artifact.read(_plain(out, target, row)) for row in rows]
    html.write(
        file,
        contents=contents.gather([(artifact, []) for artifact in files], left_out={}),
        title=found.title,
        against_paper=points,
        accuracy=accuracy,
    )


def _chosen(table: Table, names: Sequence[str], every: int, column: str) -> list[Row]:
    known = {key: row for row in table.rows for key in (row["row"], row["model"])}
    for name in names:
        lookup("row", name, known)
    picked = [known[name] for name in names]
    picked = picked or sorted(table.rows, key=lambda row: _printed_ms(row, column))
    return [row for i, row in enumerate(picked) if i % every == 0]


def _printed_ms(row: Row, column: str) -> float:
    return float(row[f"{column}_ms"])


def _plain(out: Path, target: str, row: Reproduced) -> Path:
    """Where the measured file of a row lies."""
    return out / target / "plain" / row.measured.context.artifact


@dataclass(frozen=True)
class _Bench:
    """out: the target's own folder. The rest: see `bench`."""

    baseline: Row
    out: Path
    column: str
    target: str
    threads: int
    rounds: int
    device: str
    limits: Limits
    watch: Watch

    def files(self, row: Row) -> dict[str, Item]:
        """form → its verified file; the paper's runtime has the plain one only, torch a recipe."""
        name = row["model"]
        recipe = Recipe(name if name in models.MODELS else f"timm:{name}")
        if self.target == gpu.ONNX:
            return {"plain": replace(self._file(row, recipe, "plain", FOLDED), target=gpu.ONNX)}
        if self.column == "gpu":
            return {"plain": gpu.item(recipe, self.target, self.out / "plain")}
        forms = {"plain": FOLDED} if self.target == PAPERS else {"plain": (), "rewritten": None}
        return {form: self._file(row, recipe, form, rewrites) for form, rewrites in forms.items()}

    def _file(self, row: Row, recipe: Recipe, form: str, rewrites: tuple[str, ...] | None) -> Item:
        self.watch(row["row"], f"convert, {form}")
        (outcome,) = convert(
            replace(recipe, rewrites=rewrites),
            to=[PAPERS if self.target == gpu.ONNX else self.target],
            out=self.out / form,
            limits=self.limits,
            jobs=1,
        )
        if outcome.error or not outcome.artifact:
            raise outcome.error or InputError(f"{recipe.model} gave no file")
        return item_of(outcome.artifact)

    def row(self, row: Row, base: dict[str, Item], made: dict[str, Item]) -> Reproduced:
        folder = self.out / "runs" / row["model"]
        runs = self._known(folder, made) or self._measured(folder, row, base, made)
        return reproduced(
            row["row"],
            row["model"],
            paper_ms=_printed_ms(row, self.column),
            baseline_ms=_printed_ms(self.baseline, self.column),
            baseline=runs["baseline"],
            plain=runs["plain"],
            rewritten=runs.get("rewritten"),
            as_printed_s=json.loads((folder / "as_printed_s.json").read_text()),
        )

    def _known(self, folder: Path, made: dict[str, Item]) -> dict[str, Run] | None:
        """The runs of an earlier bench on this machine with these files; None if any is missing."""
        if not (folder / "as_printed_s.json").exists():  # written last
            return None
        facts = host.describe() | {"threads": self.threads}
        facts |= {"device": self.device} if self.device else {}
        runs = {name: Run.load(folder / f"{name}.json") for name in ("baseline", *made)}
        same = all(getattr(run.context, key) == facts[key] for run in runs.values() for key in LIKE)
        fresh = all(runs[form].context.sha256 == made[form].sha256 for form in made)
        return runs if same and fresh and len(runs["plain"].rounds_s) >= self.rounds else None

    def _measured(
        self, folder: Path, row: Row, base: dict[str, Item], made: dict[str, Item]
    ) -> dict[str, Run]:
        self.watch(row["row"], "measure")
        items = {"baseline": base["plain"]} | made
        found = loop.profile(
            [*items.values()], threads=self.threads, rounds=self.rounds, device=self.device
        )
        runs = dict(zip(items, sound(found), strict=True))
        seconds = self._as_printed(items["plain"])
        for name, run in runs.items():
            run.save(folder / f"{name}.json")
        write_text(folder / "as_printed_s.json", json.dumps(seconds))
        return runs

    def _as_printed(self, item: Item) -> list[float]:
        """Seconds by the papers' protocol: in one go, nothing interleaved."""
        warm_ups, timed = PROTOCOL[self.column]
        with Child(timeout_s=self.limits.timeout_s) as child:
            place = {"target": item.target, "file": str(item.file), "threads": self.threads}
            child.call("edgevit.profiles.timed:open_artifact", **place)
            child.call("edgevit.profiles.timed:block", iterations=warm_ups)
            found = child.call("edgevit.profiles.timed:block", iterations=timed)
        return list(found["seconds"])
