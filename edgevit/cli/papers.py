"""edgevit bench efficientmod: a paper's latency table, held against this machine."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import EdgevitError, InputError
from .choices import DEVICE_NAME, TARGET_NAMES
from .screen import Screen, screened

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from ..profiles.reproduce import Reproduced, Summary

QUICK = {"every": 4, "rounds": 10}


def of_a_paper(rounds: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a bench the options that all have: what is measured, how, and where its files go."""
    place = click.Path(path_type=Path)

    def give(function: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("-o", "--out", type=place, default="bench", show_default=True),
            click.option("--rounds", type=click.IntRange(1), default=rounds, show_default=True),
            click.option("--threads", type=click.IntRange(1), default=1, show_default=True),
            click.option("--device-name", "device", default="", help=DEVICE_NAME),
            click.option(
                "--target", type=click.Choice(TARGET_NAMES), default="onnx", show_default=True
            ),
            click.option(
                "--column", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True
            ),
        ):
            function = option(function)
        return function

    return give


@click.command()
@click.option("--rows", default="", help="Only these, by row or model, with commas between.")
@of_a_paper(rounds=30)
@click.option("--quick", is_flag=True, help="Every fourth row, in 10 rounds.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the plots.")
@screened
def efficientmod(
    screen: Screen,
    rows: str,
    column: str,
    target: str,
    threads: int,
    device: str,
    rounds: int,
    quick: bool,
    out: Path,
    html: Path | None,
) -> None:
    """Reproduce the latency table of EfficientMod (ICLR 2024): 25 mobile backbones.

    Each row runs interleaved with MobileNetV2×1.0, since milliseconds belong to one machine and
    proportions travel. Stopped, it goes on where it was, from what is in the folder -o.
    """
    names = [name.strip() for name in rows.split(",") if name.strip()]
    settings: dict[str, Any] = {"every": 1, "rounds": rounds} | (QUICK if quick else {})
    settings |= {"rows": names, "out": out / "efficientmod", "threads": threads}
    if column == "cpu":
        document, errors = _measured(screen, target, html=html, device=device, **settings)
        screen.json(document)
        screen.end(errors)
        return
    if html:
        raise InputError("--html draws the CPU column; leave it out, --json has all rows")
    found = on_gpu(screen)
    device = device or found["device"]
    documents, errors = {}, []
    for runtime in found["runtimes"]:
        screen.show(f"{runtime} on {device}:")
        documents[runtime], failed = _measured(screen, runtime, device=device, **settings)
        errors += failed
    screen.json(documents)
    screen.end(errors)


def on_gpu(screen: Screen) -> dict[str, Any]:
    """What `gpu.available` finds, in a child; says so where there is no GPU."""
    from .. import sandbox

    found: dict[str, Any] = sandbox.run("edgevit.profiles.gpu:available")
    if not found["device"]:
        screen.note("no CUDA device: torch sees none; --column cpu measures the processor")
    return found


def _measured(
    screen: Screen, target: str, *, out: Path, html: Path | None = None, **settings: Any
) -> tuple[dict[str, Any], list[EdgevitError]]:
    """Show the table as it comes out in one runtime; its document, and the errors of rows."""
    from rich.text import Text

    from ..pipeline.bench import bench, page, why
    from ..profiles.reproduce import OFF, Reproduced, summary

    with screen.progress() as watch:
        found = list(bench("efficientmod", out=out, target=target, watch=watch, **settings))
        done = [row for row in found if isinstance(row, Reproduced)]
        whole = summary(done)
        off = {}
        for row in done:
            if row.far_off and not (whole and whole.too_noisy):
                watch("why", row.row)
                off[row.row] = why(out, target, row)
        if off:
            watch("why", "done")
    screen.show(*_table(done), *_said(whole))
    for name, reason in off.items():
        screen.show(Text(f"{name} is off by more than a factor of {1 + OFF:g}: {reason}"))
    if done:
        screen.note(f"files and raw samples: {out / target}")
    if done and html:
        page(html, "efficientmod", out, target, done)
        screen.note(f"page: {html}")
    document = {"rows": [_row(row) for row in done], "off": off, "summary": whole and asdict(whole)}
    return document, [row for row in found if isinstance(row, EdgevitError)]


def _table(rows: Sequence["Reproduced"]) -> list["Table"]:
    from rich.text import Text

    from .tables import table_of

    if not rows:
        return []
    faster = any(row.faster for row in rows)
    table = table_of(
        ("row", "left", 1),
        ("paper\nms", "right", 0),
        ("here\nms", "right", 0),
        ("its protocol\nms", "right", 0),
        ("paper\n×", "right", 0),
        ("here, times\nthe baseline", "left", 0),
        ("off", "right", 0),
        ("95 % interval", "left", 0),
        *([("rewritten, times\nas fast", "left", 0)] if faster else []),
    )
    for row in rows:
        value, low, high = row.off
        table.add_row(
            row.row,
            f"{row.paper_ms:.1f}",
            f"{row.measured.median_s * 1e3:.1f}",
            f"{row.as_printed_ms:.1f}",
            f"{row.paper_times:.2f}",
            str(row.times),
            Text(f"{value - 1:+.0%}", "yellow" if row.far_off else ""),
            f"[{low - 1:+.0%}, {high - 1:+.0%}]",
            *([str(row.faster)] if faster else []),
        )
    return [table]


def _said(whole: "Summary | None") -> list["Text"]:
    from rich.text import Text

    if whole is None:
        return []
    noise = (
        "" if whole.noise is None else f"; against itself the baseline came out ±{whole.noise:.1%}"
    )
    if whole.too_noisy:
        said = f"no verdict: this machine is too noisy{noise}; stop other work and bench again"
        return [Text(said, "red")]
    rho, tau = (
        f"{v:.3f} [{low:.3f}, {high:.3f}]" for v, low, high in (whole.spearman, whole.kendall)
    )
    return [
        Text(f"{whole.rows} rows: Spearman's ρ {rho}, Kendall's τ {tau}", "bold"),
        Text(f"ratios to the baseline are off by {whole.error:.0%} in the geometric mean{noise}"),
        Text(
            f"without {whole.furthest}, which is off the most: ρ {whole.rest_spearman:.3f}, "
            f"{whole.rest_error:.0%}"
        ),
        Text(
            f"milliseconds are {whole.factor:.2f} of the paper's in the median row, from which the "
            f"others differ by {whole.spread:.0%}"
        ),
    ]


def _row(row: "Reproduced") -> dict[str, Any]:
    value, low, high = row.off
    return {
        "row": row.row,
        "model": row.model,
        "paper_ms": row.paper_ms,
        "measured_ms": row.measured.median_s * 1e3,
        "as_printed_ms": row.as_printed_ms,
        "paper_times": row.paper_times,
        "times": asdict(row.times),
        "off": {"value": value, "low": low, "high": high},
        "faster": row.faster and asdict(row.faster),
    }
