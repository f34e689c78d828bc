"""`einf traffic`: which versions of a model answer."""

import getpass
from collections.abc import Callable, Mapping
from typing import Any

import click

from event_inference import traffic as file
from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.errors import InputError, UnreachableError

_HELP = {"help_option_names": ["-h", "--help"]}
_COLUMNS = ("stable", "candidate", "share", "mode", "experiment", "since", "by", "reason")
_SET = """
$ einf traffic set sentiment 1 --reason "the version of the first release"
sentiment: all inputs go to version 1
"""
_SHOW = """
$ einf traffic show
model      stable  candidate  share  mode   experiment  since … reason
sentiment  1                  0      split              … the version of the first release
"""


def _why(function: Callable[..., Any]) -> Callable[..., Any]:
    reason = click.option("--reason", required=True, help="Why; it is kept in traffic.json.")
    by = click.option("--by", default=getpass.getuser, show_default="your login", help="Who wants it.")
    return reason(by(function))


def _experiment(function: Callable[..., Any]) -> Callable[..., Any]:
    stable = click.option("--stable", help="The version that answers otherwise.  [default: the present one]")
    id = click.option("--experiment", help="Its id.  [default: the present one's, or a new one for other versions]")
    return stable(id(function))


@click.group(context_settings=_HELP)
def traffic() -> None:
    """Choose which version of a model answers, and try a candidate. docs/traffic.md says who takes part."""


@command(name="set", changes=True, examples=_SET)
@click.argument("model")
@click.argument("version")
@_why
def set_(session: Session, model: str, version: str, as_json: bool, **why: str) -> None:
    """Make VERSION of MODEL the stable one, which answers all inputs; an experiment ends."""
    _change(session, model, file.settled(version), why, (version,), as_json=as_json)


@command(examples=_SHOW)
@click.argument("model", default="")
def show(session: Session, model: str, as_json: bool) -> None:
    """Show the traffic of MODEL, or of all models that have any."""
    from event_inference.access.clients import translated

    connection = session.client().connection
    with translated(connection.target):
        found = file.read(connection).models
    if model and model not in found:
        raise InputError(f"{model} has no traffic of its own, so that its default version answers.")
    chosen = {name: entry for name, entry in found.items() if model in ("", name)}
    if as_json:
        output.print_json(chosen)
        return
    output.table([(name, *(entry.get(column) for column in _COLUMNS)) for name, entry in chosen.items()],
                 "model", *_COLUMNS)  # fmt: skip


@command(changes=True)
@click.argument("model")
@click.argument("candidate")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), required=True, help="Of the inputs, such as 0.1.")
@_experiment
@_why
def split(session: Session, model: str, candidate: str, share: float, as_json: bool, **options: Any) -> None:
    """Let CANDIDATE answer a share of MODEL's inputs, always the same ones; a larger share adds others."""
    _try(session, model, candidate, share, "split", as_json, **options)


@command(changes=True)
@click.argument("model")
@click.argument("candidate")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Of the inputs.")  # fmt: skip
@_experiment
@_why
def shadow(session: Session, model: str, candidate: str, share: float, as_json: bool, **options: Any) -> None:
    """Let CANDIDATE predict on a share of MODEL's inputs too, after they are answered and unseen by their senders."""
    _try(session, model, candidate, share, "shadow", as_json, **options)


@command(changes=True)
@click.argument("model")
@_why
def freeze(session: Session, model: str, as_json: bool, **why: str) -> None:
    """Send all of MODEL's inputs to the stable version for now; split or shadow sets the experiment going again."""
    _change(session, model, file.frozen, why, as_json=as_json)


@command(changes=True)
@click.argument("model")
@_why
def stop(session: Session, model: str, as_json: bool, **why: str) -> None:
    """End MODEL's experiment: all inputs go to the stable version."""
    _change(session, model, file.stopped, why, as_json=as_json)


for _command in (set_, show, split, shadow, freeze, stop):
    traffic.add_command(_command)


def _try(
    session: Session, model: str, candidate: str, share: float, mode: str, as_json: bool, *,
    stable: str | None, experiment: str | None, **why: str,
) -> None:  # fmt: skip
    make = file.tried(candidate, share, mode, stable=stable, experiment=experiment)
    versions = (candidate, stable) if stable else (candidate,)
    _change(session, model, make, why, versions, as_json=as_json)


def _change(
    session: Session, model: str, make: file.Change, why: Mapping[str, str], versions: tuple[str, ...] = (), *,
    as_json: bool,
) -> None:  # fmt: skip
    from event_inference.access.clients import translated

    client = session.client(f"change the traffic of {model}")
    _check_served(client, model, versions)
    connection = client.connection
    with translated(connection.target):
        entry = file.change(connection, model, make, by=why["by"], reason=why["reason"])
    if as_json:
        output.print_json({model: entry})
    else:
        click.echo(f"{model}: {_sentence(entry)}")


def _check_served(client: Any, model: str, versions: tuple[str, ...]) -> None:
    """Refuses versions that no one serves; where that cannot be found out, it says so."""
    if not versions:
        return
    try:
        served = [str(each.get("version")) for each in client.models() if each.get("name") == model]
    except UnreachableError as error:
        click.echo(f"einf: it was not checked whether these versions are served: {error}", err=True)
        return
    if not served:
        raise InputError(f"No model {model} is served. See einf models.")
    for version in versions:
        if version not in served:
            raise InputError(f"{model} has no version {version}; it has {', '.join(served)}. Push the model first.")


def _sentence(entry: file.Entry) -> str:
    stable, candidate, share = entry["stable"], entry.get("candidate"), entry.get("share") or 0
    if candidate is None or entry["mode"] == "frozen":
        return f"all inputs go to version {stable}"
    if entry["mode"] == "shadow":
        return f"version {stable} answers, and version {candidate} is shown {share:.4g} of the inputs"
    return f"version {candidate} answers {share:.4g} of the inputs, version {stable} the others"
