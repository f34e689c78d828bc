"""Each action as a line of `einf`, of gcloud and of Python, to be copied."""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from event_inference import Target
from event_inference.inputs import orders

_CONTROL = re.compile("[\u0000-\u001f\u007f-\u009f]")


@dataclass(frozen=True, slots=True)
class Snippets:
    """The same action in three forms."""

    einf: str
    gcloud: str
    python: str


def status(target: Target, name: str, document: str, folder: str) -> Snippets:
    uri = f"gs://{target.output_bucket}/{folder or 'results'}/{document}.json"
    return Snippets(
        f"einf status {quoted(name)}{_which(target)}",
        f"gcloud storage cat {quoted(uri)}",
        f"{_client(target)}.document({document!r})",
    )


def execution(target: Target, id: str, name: str) -> Snippets:
    workflow = target.workflow.rpartition("/")[2]
    return Snippets(
        f"einf status {quoted(name)} --json{_which(target)}",
        f"gcloud workflows executions describe {id} --workflow={workflow} --location={target.region}",
        f"{_client(target)}.find({name!r}).status()",
    )


def replay(target: Target, criteria: dict[str, Any]) -> Snippets:
    options = " ".join(f"--{name} {quoted(str(value))}" for name, value in criteria.items() if name != "prefix")
    words = " ".join(part for part in (quoted(criteria["prefix"]) if "prefix" in criteria else "", options) if part)
    arguments = ", ".join(f"{name}={value!r}" for name, value in criteria.items())
    return Snippets(
        f"einf replay {words or '--all'}{_which(target)}",
        _publish(target, {"replay": criteria}),
        f"{_client(target)}.replay({arguments})",
    )


def sweep(target: Target, name: str) -> Snippets:
    return Snippets(
        f"einf sweep {quoted(name)}{_which(target)}",
        _publish(target, orders.sweep(prefix=name)),
        f"{_client(target)}.sweep(prefix={name!r})",
    )


def label(target: Target, content: dict[str, Any]) -> Snippets:
    document, value, source = (content["label"][name] for name in ("document", "label", "source"))
    return Snippets(
        f"einf label {quoted(document)} {quoted(value)} --by document --source {source}{_which(target)}",
        _publish(target, content),
        f"{_client(target)}.order({content!r})",
    )


def results(target: Target, prefix: str) -> Snippets:
    return Snippets(
        f"einf results {quoted(prefix) + ' ' if prefix else ''}--format csv --output results.csv{_which(target)}",
        f"gcloud storage cp -r {quoted(f'gs://{target.output_bucket}/results/{prefix}*')} .",
        f"list({_client(target)}.results(prefix={prefix!r}))",
    )


def _publish(target: Target, content: dict[str, Any]) -> str:
    return f"gcloud pubsub topics publish {target.topic} --message={quoted(json.dumps(content, ensure_ascii=False))}"


def _which(target: Target) -> str:
    return f" --project {target.project}" if target.is_cloud else ""


def _client(target: Target) -> str:
    return f"Client(project={target.project!r})" if target.is_cloud else "Client()"


def quoted(text: str) -> str:
    """Quoted for bash and zsh; control characters, which a terminal obeys when a line is pasted, are escaped."""
    if not _CONTROL.search(text):
        return shlex.quote(text)
    escaped = text.replace("\\", r"\\").replace("'", r"\'")
    return "$'" + _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", escaped) + "'"
