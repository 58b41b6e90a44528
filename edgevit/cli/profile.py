"""edgevit profile"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import EdgevitError, InputError, NotOnThisSystem
from .choices import DEVICE, DEVICE_NAME, RUNNER, artifacts_among
from .screen import Screen, screened

if TYPE_CHECKING:
    from ..profiles.run import Run


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True)
@click.option("--warmup", type=float, default=0.5, show_default=True, help="Seconds, not counted.")
@click.option("--block", type=float, default=0.02, show_default=True, help="Seconds per block.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order in a round.")
@click.option(
    "--cooldown", type=click.FloatRange(0), default=0, help="Seconds of rest before each round."
)
@click.option(
    "--minutes",
    type=click.FloatRange(0),
    default=0,
    help="Run for so long without rest: what heat does.",
)
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@click.option("--device", default="host", show_default=True, help=DEVICE)
@click.option("--device-name", default="", help=DEVICE_NAME)
@click.option("--runner", type=click.Path(path_type=Path), help=RUNNER)
@click.option("--ops", is_flag=True, help="Time each operator, by the runtime's own profiler.")
@click.option("--by", type=click.Choice(["op", "module", "kind"]), help="Group --ops; default op.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the plots.")
@click.option("--runs", type=click.Path(path_type=Path), help="Folder for the raw samples.")
@screened
def command(
    screen: Screen,
    paths: tuple[Path, ...],
    threads: int,
    rounds: int,
    warmup: float,
    block: float,
    seed: int,
    cooldown: float,
    minutes: float,
    timeout: float,
    device: str,
    device_name: str,
    runner: Path | None,
    ops: bool,
    by: str | None,
    html: Path | None,
    runs: Path | None,
) -> None:
    """Measure artifacts side by side, in interleaved rounds, so that their ratios hold.

    Raw samples go to --runs, a folder `runs` beside the first artifact by default.

    Several devices, separated by commas, are measured at once, each in a session of its own.

    With --ops: where the time goes inside each artifact, operator by operator, and what would help.
    """
    chosen, devices = artifacts_among(paths), list(dict.fromkeys(device.split(",")))
    if (ops or runner) and (minutes or cooldown):
        raise InputError(
            "--minutes and --cooldown are of rounds, which --ops and --runner have not"
        )
    if ops and (devices != ["host"] or runner):
        raise InputError("--ops times operators on this machine: leave --device and --runner out")
    if html and len(devices) > 1:
        raise InputError("--html is of one device; `edgevit report` makes a page of several")
    if by and not ops:
        raise InputError("--by groups operators; give --ops as well")
    if ops:
        if html or runs:
            raise InputError("--ops keeps no samples and writes no page; --json has all rows")
        from .ops import show

        show(
            screen,
            chosen,
            by=by or "op",
            threads=threads,
            runs=rounds,
            warmup_s=warmup,
            timeout_s=timeout,
        )
        return
    if runner:
        if html or runs:
            raise InputError("--runner gives no samples and writes no page; --json has its figures")
        from .runner import show as show_printed

        counts = {"threads": threads, "runs": rounds}
        show_printed(screen, chosen, runner, on=device, timeout_s=timeout, **counts)
        return
    from ..pipeline.profile import profile_each
    from ..pipeline.report import page
    from ..profiles.report.contents import RUNS
    from ..profiles.report.table import rows
    from ..profiles.run import Run

    with screen.progress() as watch:
        told: set[tuple[str, str, int]] = set()

        def tell(where: str, what: str, done: int, total: int) -> None:
            job = f"profile on {where}" if len(devices) > 1 else "profile"
            part = (job, what, 6 * done // total)
            if part not in told:
                told.add(part)
                watch(job, "done" if done >= total else f"{what} {done}/{total}")

        found = profile_each(
            chosen,
            devices,
            threads=threads,
            rounds=rounds,
            warmup_s=warmup,
            block_s=block,
            seed=seed,
            timeout_s=timeout,
            cooldown_s=cooldown,
            minutes=minutes,
            device=device_name,
            on_progress=tell,
        )
    results = [r for of_one in found.values() for r in of_one]
    absent = [r for r in results if isinstance(r, NotOnThisSystem)]
    shown = {name: [r for r in of_one if r not in absent] for name, of_one in found.items()}
    for name, of_one in shown.items():
        _show(screen, name, of_one)
    for why in absent:
        screen.note(f"not measured: {why}")
    screen.json([{"on": name} | row for name, of_one in shown.items() for row in rows(of_one)])
    folder = runs or chosen[0].parent / RUNS
    measured = [r for r in results if isinstance(r, Run)]
    for name, of_one in found.items():
        prefix = "" if name == "host" else re.sub(r"\W+", "-", name).strip("-") + "-"
        for run in of_one:
            if isinstance(run, Run):
                run.save(folder, prefix=prefix)
    if measured:
        screen.note(f"raw samples: {folder}")
    if html and measured:
        page(html, chosen, results)
        screen.note(f"page: {html}")
    screen.end([r for r in results if isinstance(r, EdgevitError) and r not in absent])
    if not measured:
        raise click.exceptions.Exit(absent[0].exit_code)


def _show(screen: Screen, device: str, results: "Sequence[Run | EdgevitError]") -> None:
    """The table of one device's session, and where it was."""
    from ..profiles.report.table import rich_table, there
    from ..profiles.run import Run
    from ..profiles.sustained import in_words

    measured = [r for r in results if isinstance(r, Run)]
    if measured:
        screen.show(rich_table(results, width=screen.out.width))
        screen.show(*filter(None, map(in_words, measured)))
        if device != "host":
            screen.show(*there(measured[0]))
    if screen.verbose:
        for run in measured:
            screen.show(f"{run.name}: {run.cores_used:.2f} cores busy, {vars(run.context)}")
