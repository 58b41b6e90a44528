"""report(): what lies in a folder, as a page, as Markdown or as CSV."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ..converters.artifact import Artifact
from ..errors import EdgevitError
from ..lookup import lookup
from ..profiles.report import contents, html, summary
from ..profiles.report.contents import Contents
from ..profiles.run import Run
from ..staging import write_text

WRITERS: dict[str, Callable[[Contents], str] | None] = {
    ".html": None,
    ".md": summary.as_markdown,
    ".csv": summary.as_csv,
}


def report(folder: Path, file: Path) -> Contents:
    """Write `file`, whose suffix says what it will be, and return what is in it.

    InputError for an unknown suffix, and for a folder that holds nothing to report.
    """
    text = lookup("kind of report", file.suffix, WRITERS)
    found = contents.read(folder, but=file)
    if text:
        write_text(file, text(found))
    else:
        html.write(file, contents=found, title=f"Artifacts in {folder.resolve().name}")
    return found


def page(file: Path, paths: Sequence[Path], results: Sequence[Run | EdgevitError]) -> None:
    """The report of what `profile` gave for `paths`, wherever these lie, as HTML."""
    pairs, left_out = [], {}
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, Run):
            pairs.append((Artifact.read(path, card_required=False), [result]))
        else:
            left_out[path.name] = str(result)
    found = contents.gather(pairs, left_out=left_out)
    html.write(file, contents=found, title="How fast each artifact runs")
