"""`novita-gpus completion`: the script that completes commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what completes commands in SHELL.

    \b
    bash:  echo 'eval "$(novita-gpus completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(novita-gpus completion zsh)"' >> ~/.zshrc
    fish:  novita-gpus completion fish > ~/.config/fish/completions/novita-gpus.fish
    """  # noqa: D301 - click's mark for text that is not wrapped
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"the installed click has no completion for {shell}")
    app = click.get_current_context().find_root().command
    click.echo(kind(app, {}, "novita-gpus", "_NOVITA_GPUS_COMPLETE").source())
