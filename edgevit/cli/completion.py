"""edgevit completion"""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a completion script: eval "$(edgevit completion bash)"."""
    from . import cli

    kind = get_completion_class(shell)
    assert kind is not None  # click knows the three shells above
    click.echo(kind(cli, {}, "edgevit", "_EDGEVIT_COMPLETE").source())
