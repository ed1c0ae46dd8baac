"""`flow completion`: the script that makes a shell complete commands, options and job names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ematix_core.cli.options import debug_option

SHELLS = {
    "bash": "source <(flow completion bash)      # in ~/.bashrc",
    "zsh": "source <(flow completion zsh)       # in ~/.zshrc, after compinit",
    "fish": "flow completion fish > ~/.config/fish/completions/flow.fish",
}


@click.command("completion", epilog="\b\n" + "\n".join(SHELLS.values()))
@click.argument("shell", type=click.Choice(list(SHELLS)))
@debug_option
def completion(shell: str) -> None:
    """Print the completion script for a shell."""
    from ematix_core.cli.root import flow

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    maker = kind(flow, {}, "flow", "_FLOW_COMPLETE")
    click.echo(maker.source_template % maker.source_vars())
