"""What all commands share: the options that choose a pipeline, its line on stderr, and the confirmation of changes."""

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from event_inference.errors import CloudConfirmationError
from event_inference.targets import Request, Target, resolve

_TARGET_OPTIONS = (
    click.option("--local", metavar="FOLDER", help="The local stack whose state is in this folder."),
    click.option("--context", metavar="NAME", help="A context of your configuration."),
    click.option("--project", metavar="ID", help="The deployment in this project of Google Cloud."),
    click.option("--region", metavar="NAME", help="The deployment's region.  [default: us-central1]"),
    click.option("--service-prefix", metavar="NAME", help="The deployment's prefix.  [default: inference]"),
)
_YES = click.option("-y", "--yes", is_flag=True, help="Change a cloud without asking. EINF_YES=1 does the same.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Session:
    """The pipeline that a command talks to."""

    def __init__(self, request: Request, *, yes: bool) -> None:
        self._request, self._yes = request, yes

    @functools.cached_property
    def target(self) -> Target:
        """The pipeline; named on stderr when it is first asked for."""
        target = resolve(self._request)
        click.echo(f"einf: {target.description}", err=True)
        return target

    @property
    def options(self) -> list[str]:
        """The options that chose the pipeline, for another program that knows the same ones."""
        chosen = asdict(self._request)
        names = ("local", "context", "project", "region", "service_prefix")
        return [word for name in names if chosen[name] for word in (f"--{name.replace('_', '-')}", chosen[name])]

    def client(self, change: str = "") -> Any:
        """A client of the pipeline.

        Args:
            change: what the command will do to it; empty if it only reads.

        Raises:
            CloudConfirmationError: it would change a cloud, and that was not confirmed.
        """
        from event_inference.client import Client

        if change and self.target.is_cloud and not self._yes and not _environment_says_yes():
            self._ask(change)
        return Client(target=self.target, yes=bool(change))

    def _ask(self, change: str) -> None:
        if not sys.stdin.isatty():
            raise CloudConfirmationError(
                f"This would {change} in the cloud project {self.target.project}. Nobody can be asked here; add --yes "
                f"if that is meant."
            )
        if not click.confirm(f"Really {change} in the cloud project {self.target.project}?", err=True):
            raise CloudConfirmationError("Nothing was changed.")


def _environment_says_yes() -> bool:
    return os.environ.get("EINF_YES", "").lower() in ("1", "true", "yes")


def command(*, changes: bool = False, json: bool = True, examples: str = "", **settings: Any) -> Callable[..., Any]:
    """Make a command of a function whose first argument is the session.

    Args:
        changes: whether it may change a pipeline; adds `--yes`.
        json: adds `--json`, as the argument `as_json`.
        examples: command lines with their output, for the end of the help.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(
            *arguments: Any,
            local: str | None,
            context: str | None,
            project: str | None,
            region: str | None,
            service_prefix: str | None,
            yes: bool = False,
            **options: Any,
        ) -> Any:
            request = Request(
                local=local, context=context, project=project, region=region, service_prefix=service_prefix
            )
            return function(Session(request, yes=yes), *arguments, **options)

        added = (*((_JSON,) if json else ()), *((_YES,) if changes else ()), *_TARGET_OPTIONS)
        for option in reversed(added):
            run = option(run)
        return click.command(cls=DocumentedCommand, context_settings=_HELP, examples=examples, **settings)(run)

    return decorate


class DocumentedCommand(click.Command):
    """A command whose help ends with examples as they are, not wrapped."""

    def __init__(self, *arguments: Any, examples: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples.strip("\n")

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(context, formatter)
        if self.examples:
            formatter.write_paragraph()
            formatter.write("Examples:\n\n")
            formatter.write("".join(f"  {line}".rstrip() + "\n" for line in self.examples.splitlines()))
