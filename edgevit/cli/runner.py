"""edgevit profile --runner: figures that a runtime's own runner printed, and what they are not."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..errors import EdgevitError
from .screen import Screen

NOTE = (
    "as {runner} prints them: it keeps no samples, and runs one artifact after the other, so "
    "that no ratio with an interval can be made of these"
)


def show(
    screen: Screen,
    paths: Sequence[Path],
    runner: Path,
    *,
    on: str,
    threads: int,
    runs: int,
    timeout_s: float,
) -> None:
    from ..pipeline.runner import printed
    from ..profiles.devices.adb_runner import Printed
    from .tables import table_of

    with screen.progress() as watch:
        results = printed(
            paths,
            runner,
            on=on,
            threads=threads,
            runs=runs,
            timeout_s=timeout_s,
            watch=lambda path, stage: watch(path.name, stage),
        )
    found = [one for one in results if isinstance(one, Printed)]
    if found:
        headings = ("mean\nms", "least\nms", "most\nms", "deviation\nms", "first\nms", "load\nms")
        table = table_of(
            ("artifact", "left", 1),
            ("runs", "right", 0),
            *((heading, "right", 0) for heading in headings),
            ("device", "left", 1),
        )
        for one in found:
            times = (one.mean_s, one.least_s, one.most_s, one.deviation_s, one.first_s, one.load_s)
            cells = ["–" if s is None else f"{s * 1e3:.4g}" for s in times]
            table.add_row(one.name, str(one.runs), *cells, one.device)
        screen.show(table, NOTE.format(runner=runner.name))
    screen.json([asdict(one) for one in found])
    screen.end([one for one in results if isinstance(one, EdgevitError)])
