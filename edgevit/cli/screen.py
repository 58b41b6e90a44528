"""What a command shows: results on stdout, progress and remarks on stderr, which -q leaves out.

On a terminal progress is a live list of stages; elsewhere it is a plain line per stage.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from ..errors import EdgevitError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Watch = Callable[[str, str], None]


@dataclass(frozen=True)
class Screen:
    """quiet: no progress or remarks. verbose: details too. as_json: one JSON document on stdout."""

    quiet: bool
    verbose: bool
    as_json: bool

    @property
    def out(self) -> "Console":
        return _console(stderr=False)

    def show(self, *parts: "RenderableType") -> None:
        """Results for people."""
        if parts and not self.as_json:
            self.out.print(*parts, sep="\n")

    def json(self, document: Any) -> None:
        """Results for machines, when asked for."""
        if self.as_json:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))

    def note(self, text: str) -> None:
        """A remark."""
        if not self.quiet:
            click.echo(text, err=True)

    def error(self, text: str) -> None:
        click.echo(f"error: {text}", err=True)

    def end(self, errors: Sequence[EdgevitError]) -> None:
        """Print each error, and leave the command with the first one's code if there is any."""
        for error in errors:
            self.error(str(error))
        if errors:
            raise click.exceptions.Exit(errors[0].exit_code)

    @contextmanager
    def progress(self) -> Iterator[Watch]:
        """A function to call with (what, stage); a stage "done" or "failed" ends the line."""
        if self.quiet or not sys.stderr.isatty():
            yield _silent if self.quiet else _plain()
            return
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(finished_text="•"), TextColumn("{task.description}"))
        with Progress(*columns, TimeElapsedColumn(), console=_console(stderr=True)) as live:
            lines: dict[str, Any] = {}

            def watch(what: str, stage: str) -> None:
                if what not in lines:
                    lines[what] = live.add_task(what, total=1)
                over = stage in ("done", "failed")
                live.update(lines[what], description=f"{what}: {stage}", completed=int(over))

            yield watch


def screened(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command -q, -v, --json and --debug, and a Screen as its first argument."""

    @click.option("-q", "--quiet", is_flag=True, help="No progress or remarks.")
    @click.option("-v", "--verbose", is_flag=True, help="Print more details.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.option("--debug", is_flag=True, help="Show tracebacks.")
    @wraps(function)
    def command(quiet: bool, verbose: bool, as_json: bool, debug: bool, **given: Any) -> None:
        function(Screen(quiet, verbose, as_json), **given)

    return command


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # A file or a pipe has no width of its own; 80 columns would fold every table. Without markup,
    # or rich would take the [onnx] of a pip command for a style.
    width = None if stream.isatty() else 120
    return Console(stderr=stderr, width=width, highlight=False, markup=False)


def _plain() -> Watch:
    began = time.monotonic()

    def watch(what: str, stage: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {what}: {stage}", err=True)

    return watch


def _silent(what: str, stage: str) -> None:
    pass
