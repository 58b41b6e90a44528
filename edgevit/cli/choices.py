"""What can be typed on the command line: lists of names, artifacts, and their completion."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..converters.artifact import ASIDE
from ..converters.target import TARGETS, find
from ..errors import ArtifactError
from ..models import MODELS
from ..recipe import INTEGER, PRECISIONS, REFUSED

DEVICE_NAME = "A name in place of the hardware's own."
DEVICE = "host, mac, adb:SERIAL, ssh:USER@HOST; `edgevit devices` lists them."
RUNNER = "On a phone, benchmark_model or executor_runner in place of the app: its own figures."
TARGET_NAMES = [name for name in TARGETS if name != "null"]


class Names(click.ParamType):  # type: ignore[type-arg]
    """Comma-separated names; unknown ones are refused later, with the nearest."""

    name = "names"

    def __init__(self, known: Iterable[str]) -> None:
        self.known = list(known)

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        if not names:
            self.fail(f"names none of {', '.join(self.known)}", param, ctx)
        return names

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(before + comma + n) for n in self.known if n.startswith(last)]


class Precision(click.Choice):  # type: ignore[type-arg]
    """One of some precisions; of what no runtime gains by, it says why."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value in REFUSED:
            self.fail(REFUSED[value], param, ctx)
        return super().convert(value, param, ctx)


INTEGERS = Precision(INTEGER)
UNCALIBRATED = Precision([p for p in PRECISIONS if p != "w8a8"])  # of what has no --calibrate


class ModelName(click.ParamType):  # type: ignore[type-arg]
    """A model's name, or PATH.py:CALLABLE."""

    name = "model"

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(n) for n in MODELS if n.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


def of_a_model(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which model, by the names of a Recipe's fields."""
    for option in (
        click.option("--input-size", type=int, help="Side of the input, in pixels."),
        click.option("--num-classes", type=int, help="Size of the head."),
        click.option("--pretrained", is_flag=True, help="Weights from timm's hub."),
        click.option("--norms", help="batch: layer norms as batch norms; see `edgevit rep`."),
        click.option("--weights", type=click.Path(), help="A .safetensors or .pth file."),
    ):
        function = option(function)
    return function


def artifacts_among(paths: Sequence[Path], *, rejected: bool = False) -> list[Path]:
    """The artifacts in what a shell made of `out/*`: cards, logs and reports are passed over.

    A path that is named alone, or has an artifact's suffix, is kept and judged by whoever opens it.
    rejected: keep those that `convert` found wrong, too.
    """
    suffixes = {find(name).suffix for name in TARGETS} | ({ASIDE} if rejected else set())
    kept = [path for path in paths if len(paths) == 1 or path.suffix in suffixes]
    if not kept:
        raise ArtifactError(
            f"none of the {len(paths)} paths is an artifact ({', '.join(sorted(suffixes))})"
        )
    return kept


def read_labels(file: Path | None) -> list[str] | None:
    """Class names, one a line."""
    if file is None:
        return None
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as e:
        raise ArtifactError(f"cannot read labels from {file}: {e}") from None
    return [line for line in lines if line]
