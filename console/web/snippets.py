"""Each action as a line of `einf`, of gcloud and of Python, to be copied; each runs as it stands."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from console.index.selection import Filters, moment
from event_inference import Target
from event_inference.inputs import orders
from event_inference.targets.target import DEFAULT_PREFIX, DEFAULT_REGION

_WILDCARD = re.compile(r"[\[\]?*]")
_CONTROL = re.compile("[\u0000-\u001f\u007f-\u009f]")
_MOST = 20  # orders that are written out
_IMPORT = "from event_inference import Client; "
_FOLDER = "my-folder"  # for the user to replace


@dataclass(frozen=True, slots=True)
class Snippets:
    """The same action in three forms."""

    einf: str
    gcloud: str
    python: str


def submit(target: Target) -> Snippets:
    return Snippets(
        f"einf submit {_FOLDER} --wait{_which(target)}",
        f"gcloud storage cp -r {_FOLDER} gs://{target.input_bucket}{_project(target)}",
        f"{_IMPORT}handles = list({_client(target)}.submit_many([{_FOLDER!r}]))",
    )


def status(target: Target, name: str, document: str, folder: str) -> Snippets:
    """What is known of an input: its document, or before that the object.

    Args:
        folder: of the document; empty before there is one.
    """
    uri = f"gs://{target.output_bucket}/{folder}/{document}.json" if folder else f"gs://{target.input_bucket}/{name}"
    verb = "cat" if folder else "ls -l"
    return Snippets(
        f"einf status {quoted(name)}{_which(target)}",
        _gcloud(uri, f"gcloud storage {verb} {quoted(uri)}{_project(target)}"),
        f"{_IMPORT}print({_client(target)}.document({document!r}))",
    )


def execution(target: Target, id: str, name: str) -> Snippets:
    workflow = target.workflow.rpartition("/")[2]
    return Snippets(
        f"einf status {quoted(name)} --json{_which(target)}",
        f"gcloud workflows executions describe {id} --workflow={workflow} --location={target.region}{_project(target)}",
        f"{_IMPORT}print({_client(target)}.find({name!r}).status())",
    )


def resend(target: Target, name: str, metadata: Mapping[str, str], content_type: str) -> Snippets:
    """An input once more, with these parameters."""
    uri = f"gs://{target.input_bucket}/{name}"
    read = f"gcloud storage cat {quoted(uri)}{_project(target)}"
    options = "".join(f" -m {quoted(f'{key}={value}')}" for key, value in metadata.items())
    between = "," if not any("," in value for value in metadata.values()) else "::"
    listed = between.join(f"{key}={value}" for key, value in metadata.items())
    escape = "" if between == "," else f"^{between}^"
    custom = f" --custom-metadata={quoted(escape + listed)}" if metadata else ""
    media_type = quoted(content_type)
    submit = f"einf submit - --name {quoted(name)}{options} --content-type {media_type} --again{_which(target)}"
    copy = f"gcloud storage cp - {quoted(uri)} --content-type={media_type}{custom}{_project(target)}"
    return Snippets(
        _gcloud(uri, f"{read} | {submit}"),
        _gcloud(uri, f"{read} | {copy}"),
        f"{_IMPORT}pipeline = {_client(target)}; "
        f"content = pipeline.connection.input.blob({name!r}).download_as_bytes(); "
        f"pipeline.submit(content, name={name!r}, content_type={content_type!r}, metadata={dict(metadata)!r}, "
        "again=True)",
    )


def replay(target: Target, chosen: Sequence[Mapping[str, Any]]) -> Snippets | None:
    """The orders of a replay; None if they are too many to be written out."""
    if not 0 < len(chosen) <= _MOST:
        return None
    precise = [_with_zone(criteria) for criteria in chosen]
    calls = "; ".join(f"pipeline.replay({_arguments(criteria)})" for criteria in precise)
    times = "from datetime import datetime; " if "datetime" in calls else ""
    return Snippets(
        " && ".join(_replay(criteria) + _which(target) for criteria in precise),
        " && ".join(_publish(target, {"replay": criteria}) for criteria in precise),
        f"{times}{_IMPORT}pipeline = {_client(target)}; {calls}",
    )


def sweep(target: Target, name: str) -> Snippets:
    return Snippets(
        f"einf sweep {quoted(name)}{_which(target)}",
        _publish(target, orders.sweep(prefix=name)),
        f"{_IMPORT}{_client(target)}.sweep(prefix={name!r})",
    )


def label(target: Target, content: dict[str, Any]) -> Snippets:
    document, value, source = (content["label"][name] for name in ("document", "label", "source"))
    return Snippets(
        f"einf label {quoted(document)} {quoted(value)} --by document --source {source}{_which(target)}",
        _publish(target, content),
        f"{_IMPORT}{_client(target)}.order({content!r})",
    )


def promote(target: Target, model: str, action: str, reason: str) -> Snippets:
    content = {"promote": {"model": model, "action": action, "reason": reason}}
    topic = PurePosixPath(target.promotions_path).name
    return Snippets(
        f"einf promote {action} {quoted(model)} --reason {quoted(reason)}{_which(target)}",
        _publish(target, content, topic),
        f"{_IMPORT}from event_inference.inputs import orders; pipeline = {_client(target)}; "
        f"orders.publish(pipeline.connection, {content!r}, pipeline.target.promotions_path)",
    )


def results(target: Target, filters: Filters) -> Snippets:
    """The documents of a list, as far as the command and the client can select them."""
    folder = filters.state if filters.state in ("failed", "rejected") else "results"
    names = ("prefix", "kind", "since", "until", "code" if folder != "results" else "label")
    chosen = {name: value for name in names if (value := getattr(filters, name))}
    if folder == "results" and filters.below:
        chosen["below"] = float(filters.below)
    precise = _with_zone(chosen)
    arguments = _arguments(precise)
    uri = f"gs://{target.output_bucket}/{folder}/{filters.prefix}"
    times = "from datetime import datetime; " if "datetime" in arguments else ""
    return Snippets(
        f"einf {folder}{_words(precise)} --format csv --output {folder}.csv{_which(target)}",
        _gcloud(uri, f"gcloud storage cp -r {quoted(f'{uri}*')} .{_project(target)}"),
        f"{times}{_IMPORT}documents = list({_client(target)}.{folder}({arguments}))",
    )


def _with_zone(criteria: Mapping[str, Any]) -> dict[str, Any]:
    """Dates and times as every reader understands them."""
    times = {name: moment(str(criteria[name])).isoformat() for name in ("since", "until") if name in criteria}
    return dict(criteria) | times


def _replay(criteria: Mapping[str, Any]) -> str:
    needs_all = not criteria.keys() & {"prefix", "code", "since", "until", "partial"}
    return f"einf replay{_words(criteria)}{' --all' if needs_all else ''}"


def _words(criteria: Mapping[str, Any]) -> str:
    """Criteria as a prefix and options."""
    options = [f"--{name} {quoted(str(value))}" for name, value in criteria.items() if name != "prefix"]
    words = [quoted(criteria["prefix"]), *options] if criteria.get("prefix") else options
    return "".join(f" {word}" for word in words)


def _arguments(criteria: Mapping[str, Any]) -> str:
    """Criteria as a call's arguments."""
    values = {name: _time(value) if name in ("since", "until") else repr(value) for name, value in criteria.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _time(text: str) -> str:
    return f"datetime.fromisoformat({datetime.fromisoformat(text).isoformat()!r})"


def _publish(target: Target, content: Mapping[str, Any], topic: str = "") -> str:
    message = quoted(json.dumps(content, ensure_ascii=False))
    return f"gcloud pubsub topics publish {topic or target.topic} --message={message}{_project(target)}"


def _project(target: Target) -> str:
    return f" --project={target.project}" if target.is_cloud else ""


def _which(target: Target) -> str:
    return "".join(f" --{name.replace('_', '-')} {quoted(value)}" for name, value in _named(target).items())


def _client(target: Target) -> str:
    return f"Client({', '.join(f'{name}={value!r}' for name, value in _named(target).items())})"


def _named(target: Target) -> dict[str, str]:
    """The options that name a cloud's pipeline; the laptop's is found."""
    if not target.is_cloud:
        return {}
    if target.context:
        return {"context": target.context}
    found = {"project": target.project}
    if target.region != DEFAULT_REGION:
        found["region"] = target.region
    if target.service_prefix != DEFAULT_PREFIX:
        found["service_prefix"] = target.service_prefix
    return found


def _gcloud(uri: str, line: str) -> str:
    """A line of gcloud, which takes some signs in an object's name for wildcards and has no escape."""
    return "# gcloud cannot name an object with [, ? or * in its name" if _WILDCARD.search(uri) else line


def quoted(text: str) -> str:
    """Quoted for bash and zsh; control characters, which a terminal obeys when a line is pasted, are escaped."""
    if not _CONTROL.search(text):
        return shlex.quote(text)
    escaped = text.replace("\\", r"\\").replace("'", r"\'")
    return "$'" + _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", escaped) + "'"
