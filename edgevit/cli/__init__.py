"""The `edgevit` command: each subcommand is a file here that parses, calls one function, prints.

Exit codes: 0 done · 1 a defect of ours · 2 bad input · 3 an artifact disagrees with the model ·
4 a converter or runtime failed · 5 a runtime is missing · 6 the output cannot be written ·
7 a device cannot be reached · 130 stopped by Ctrl-C.
"""

import importlib
import keyword
import signal
import sys
import traceback
from types import FrameType

import click

from .. import __version__
from ..errors import EdgevitError

COMMANDS = (
    "convert",
    "verify",
    "explain",
    "scan",
    "quantize",
    "prune",
    "rep",
    "tome",
    "compare",
    "profile",
    "devices",
    "report",
    "bench",
    "classify",
    "check-preprocess",
    "embed",
    "import",
    "show",
    "list",
    "doctor",
    "completion",
)


class Commands(click.Group):
    """Subcommands by file name, imported when used: `check-preprocess` is check_preprocess.py."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        file = name.replace("-", "_") + "_" * keyword.iskeyword(name)
        command: click.Command = importlib.import_module(f"{__name__}.{file}").command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgevit")
def cli() -> None:
    """Vision backbones as files that phones run fast: converted, verified, measured.

    \b
    edgevit convert efficientmod_xxs --to executorch,tflite,coreml,onnx -o out/
    edgevit verify  out/*
    edgevit profile out/* --threads 1
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit; every error of ours is one sentence, a traceback needs --debug."""
    given = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _stop)
    try:
        # click hands over the code of its Exit as the value of main.
        code = cli.main(given, prog_name="edgevit", standalone_mode=False) or 0
    except click.ClickException as e:
        e.show()
        code = e.exit_code
    except (KeyboardInterrupt, click.Abort):
        _end("stopped; nothing half-written is left")
        code = 130
    except EdgevitError as e:
        code = e.exit_code
        if "--debug" in given:
            traceback.print_exc()
        _end(f"error: {e}")
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        sys.stderr.close()
        code = 0
    except Exception as e:
        if "--debug" in given:
            traceback.print_exc()
        _end(
            f"error: {type(e).__name__}: {e}\nThis is a defect of edgevit. Run again with --debug "
            "and report what it prints."
        )
        code = 1
    sys.exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(message: str) -> None:
    click.echo(message, err=True)
