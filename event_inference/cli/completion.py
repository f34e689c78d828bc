"""`einf completion`: the completion script of a shell."""

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the script that completes einf's commands and options.

    \b
    bash:  eval "$(einf completion bash)"     in ~/.bashrc
    zsh:   eval "$(einf completion zsh)"      in ~/.zshrc
    fish:  einf completion fish | source      in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    from event_inference.cli.group import einf

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"{shell} has no completion.")
    click.echo(kind(einf, {}, "einf", "_EINF_COMPLETE").source())
