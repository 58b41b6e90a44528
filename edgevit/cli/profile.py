"""edgevit profile"""

from pathlib import Path

import click

from ..errors import EdgevitError, InputError, NotOnThisSystem
from .choices import DEVICE, DEVICE_NAME, artifacts_among
from .screen import Screen, screened


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True)
@click.option("--warmup", type=float, default=0.5, show_default=True, help="Seconds, not counted.")
@click.option("--block", type=float, default=0.02, show_default=True, help="Seconds per block.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order in a round.")
@click.option("--cooldown", type=float, default=0, help="Seconds of rest before each round.")
@click.option(
    "--minutes", type=float, default=0, help="Run for so long without rest: what heat does."
)
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@click.option("--device", default="host", show_default=True, help=DEVICE)
@click.option("--device-name", default="", help=DEVICE_NAME)
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
    ops: bool,
    by: str | None,
    html: Path | None,
    runs: Path | None,
) -> None:
    """Measure artifacts side by side, in interleaved rounds, so that their ratios hold.

    Raw samples go to --runs, a folder `runs` beside the first artifact by default.

    With --ops: where the time goes inside each artifact, operator by operator, and what would help.
    """
    chosen = artifacts_among(paths)
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
    from ..pipeline.profile import profile
    from ..pipeline.report import page
    from ..profiles.report.contents import RUNS
    from ..profiles.report.table import rich_table, rows
    from ..profiles.run import Run
    from ..profiles.sustained import in_words

    with screen.progress() as watch:

        def tell(what: str, done: int, total: int) -> None:
            if what.startswith(("load", "warm")) or done % max(1, total // 6) == 0 or done == total:
                watch("profile", "done" if done == total else f"{what} {done}/{total}")

        results = profile(
            chosen,
            threads=threads,
            rounds=rounds,
            warmup_s=warmup,
            block_s=block,
            seed=seed,
            timeout_s=timeout,
            cooldown_s=cooldown,
            minutes=minutes,
            on=device,
            device=device_name,
            on_progress=tell,
        )
    absent = [r for r in results if isinstance(r, NotOnThisSystem)]
    shown = [r for r in results if r not in absent]
    measured = [r for r in shown if isinstance(r, Run)]
    if measured:
        screen.show(rich_table(shown, width=screen.out.width))
        screen.show(*filter(None, map(in_words, measured)))
    if screen.verbose:
        for run in measured:
            screen.show(f"{run.name}: {run.cores_used:.2f} cores busy, {vars(run.context)}")
    for why in absent:
        screen.note(f"not measured: {why}")
    screen.json(rows(shown))
    folder = runs or chosen[0].parent / RUNS
    if measured:
        for run in measured:
            run.save(folder)
        screen.note(f"raw samples: {folder}")
    if html and measured:
        page(html, chosen, results)
        screen.note(f"page: {html}")
    screen.end([r for r in results if isinstance(r, EdgevitError) and r not in absent])
    if not measured:
        raise click.exceptions.Exit(absent[0].exit_code)
