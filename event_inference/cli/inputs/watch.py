"""`einf watch`: outcomes and progress as they come."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from event_inference.cli import output
from event_inference.cli.inputs.documents import KINDS
from event_inference.cli.inputs.status import progress
from event_inference.cli.session import Session, command
from event_inference.cli.values import DURATION, MOMENT
from event_inference.outcomes.reading import Selection

if TYPE_CHECKING:
    from event_inference.client import Client
    from event_inference.outcomes.documents import Batch, Document

_LAPTOP_PAUSE_S, _CLOUD_PAUSE_S = 1.0, 10.0
_OVERLAP = timedelta(minutes=2)  # a document appears some time after it was finished, and clocks differ
_EXAMPLES = """
$ einf watch --since 1h --for 1s texts/praise
…  succeeded  texts/praise.txt  POSITIVE  0.99  … s
"""


@command(examples=_EXAMPLES)
@click.argument("prefix", default="")
@click.option("--kind", type=click.Choice(KINDS), help="Of the input.")
@click.option("--since", type=MOMENT, metavar="TIME", help="Begin with what was finished since: 1h, 2d.")
@click.option("--for", "duration", type=DURATION, help="End after this time, such as 10m, instead of at Ctrl-C.")
def watch(
    session: Session, prefix: str, kind: str | None, since: datetime | None, duration: float | None, as_json: bool
) -> None:
    """Show each outcome as it comes, and the progress of batches, of inputs whose names begin with PREFIX.

    Every look lists the documents: one request for each 1,000 of them, every second on the laptop and every ten
    seconds in a cloud. A longer PREFIX makes it cheaper.
    """
    client = session.client()
    watcher = _Watcher(client, prefix, kind, since or datetime.now(UTC))
    deadline = None if duration is None else time.monotonic() + duration
    pause = _CLOUD_PAUSE_S if client.target.is_cloud else _LAPTOP_PAUSE_S
    while True:
        for line, content in watcher.look():
            if as_json:
                output.print_json(content)
            else:
                click.echo(output.shown(line))
        left = pause if deadline is None else min(pause, deadline - time.monotonic())
        if left <= 0:
            return
        time.sleep(left)


class _Watcher:
    def __init__(self, client: "Client", prefix: str, kind: str | None, since: datetime) -> None:
        self._client, self._prefix, self._kind = client, prefix, kind
        self._began = self._since = since
        self._known: dict[str, datetime] = {}
        self._progress: dict[str, int] = {}

    def look(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """A line and the JSON of whatever is new since the last look."""
        for batch in self._client.batches(since=self._since):
            if batch.state == "running" and self._is_news(batch):
                yield _line(datetime.now(UTC), "running", batch.input, progress(batch)), {"batch": batch.job}
        for document in self._news():
            self._known[document.name] = document.finished_at
            if document.finished_at >= self._began:
                yield self._of_document(document), document.content
        self._forget()

    def _news(self) -> "list[Document]":
        """The documents that no earlier look has read, in order of their times."""
        client, since = self._client, self._since - _OVERLAP
        selection = Selection(
            prefix=self._prefix, kind=self._kind, since=since, every_generation=True, known=self._known.keys()
        )
        found = [*client.results(selection), *client.rejected(selection), *client.failed(selection)]
        return sorted(found, key=lambda document: document.finished_at)

    def _is_news(self, batch: "Batch") -> bool:
        if not batch.input.startswith(self._prefix) or self._kind not in (None, "table", "records", "manifest"):
            return False
        before = self._progress.get(batch.job)
        self._progress[batch.job] = batch.done
        return before != batch.done

    def _of_document(self, document: "Document") -> str:
        outcome, answer, confidence, latency = output.answer(document)
        place = self._client.place(document)
        parts = [answer, confidence, latency, f"({place})" if place else ""]
        return _line(document.finished_at, outcome, document.input, "  ".join(part for part in parts if part))

    def _forget(self) -> None:
        """Move on, so that neither the listing nor what is remembered grows with the time."""
        if self._known:
            self._since = max(self._since, max(self._known.values()) - _OVERLAP)
        self._known = {name: at for name, at in self._known.items() if at >= self._since - _OVERLAP}


def _line(moment: datetime, outcome: str, name: str, rest: str) -> str:
    return f"{moment.astimezone():%H:%M:%S}  {outcome:<9}  {name}  {rest}"
