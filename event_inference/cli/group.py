"""The commands by name, with what `einf --help` says of each; importing this loads none of them."""

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.exceptions import NoSuchCommand

PACKAGE = "event_inference.cli"
COMMANDS = {
    "submit": ("inputs.submit", "Send files, folders or stdin."),
    "status": ("inputs.status", "Show how far an input is."),
    "watch": ("inputs.watch", "Show outcomes and progress as they come."),
    "results": ("inputs.documents", "List results as a table, CSV, JSON or Parquet."),
    "rejected": ("inputs.documents", "List inputs that can never succeed, and why."),
    "failed": ("inputs.documents", "List inputs that should have succeeded, and why they did not."),
    "replay": ("inputs.orders", "Run failed inputs again."),
    "sweep": ("inputs.orders", "Start inputs that were lost on the way."),
    "collect": ("inputs.orders", "Start inputs that wait to share an execution."),
    "models": ("models.served", "List the models that are served, and push others."),
    "traffic": ("models.traffic", "Choose which version of a model answers, and try a candidate."),
    "label": ("models.labels", "Say what is true of inputs."),
    "promote": ("models.promote", "Watch candidates, check decisions, and step in."),
    "compare": ("models.compare", "Say which of two versions of a model is better."),
    "cost": ("cost", "Estimate a month's bill, and what another setting would change."),
    "recommend": ("cost", "List changes of settings that would save money or time."),
    "notifications": ("notifications", "List notifications that endpoints did not take, and send them again."),
    "events": ("events", "Send a recorded event again."),
    "open": ("console", "Open the web console."),
    "doctor": ("doctor", "Say what is wrong, and the command that mends it."),
    "local": ("local", "Run, watch and debug the pipeline on this machine."),
    "contexts": ("contexts", "List the pipelines of your configuration."),
    "completion": ("completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are modules of this package.

    Args:
        commands: by name, the module and the short help.
    """

    def __init__(self, *arguments: Any, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lazy = lazy

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self._lazy)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in self._lazy:
            return None
        module = importlib.import_module(f"{PACKAGE}.{self._lazy[name][0]}")
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, arguments)
        except NoSuchCommand as error:  # which knows only commands that are loaded
            raise NoSuchCommand(error.command_name, possibilities=self._lazy, ctx=context) from error

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in self._lazy.items()])


def _print_version(context: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given and not context.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"einf {version('event-inference')}")
        except PackageNotFoundError:  # run from a checkout
            click.echo("einf, not installed")
        context.exit()


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="einf COMMAND --help shows examples. docs/cli.md says which pipeline is meant and lists the exit statuses.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
def einf() -> None:
    """Send inputs to an event inference pipeline, on this machine or in Google Cloud, and read the answers."""
