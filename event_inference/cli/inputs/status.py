"""`einf status`: how far an input is."""

from typing import TYPE_CHECKING, Any

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command

if TYPE_CHECKING:
    from event_inference.outcomes.handle import Handle, Status

_EXAMPLES = """
$ einf status texts/praise.txt
input             state      answer    confidence  latency
texts/praise.txt  succeeded  POSITIVE  0.99        … s
$ einf status gs://local-input/texts/praise.txt --json
{"name": "texts/praise.txt", "job": "…", "state": "succeeded", …}
"""


@command(examples=_EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, metavar="NAME…")
def status(session: Session, inputs: tuple[str, ...], as_json: bool) -> int:
    """Show how far inputs are: names of objects, gs:// URIs, or ids of jobs.

    Ends with 0 for what succeeded or is still in progress, 3 for a rejection, 4 for a failure.
    """
    client = session.client()
    found = []
    for name in inputs:
        handle = client.find(name)
        current = handle.status()
        found.append((handle, current))
        if as_json:
            output.print_json(_fields(handle, current))
    if not as_json:
        rows = [(handle.name, *_cells(current)) for handle, current in found]
        output.table(rows, "input", "state", "answer", "confidence", "latency")
        output.notes([current.document for _, current in found if current.document])
    return output.exit_status(current.document for _, current in found if current.document)


def _cells(status: "Status") -> tuple[str, str, str, str]:
    if status.document:
        outcome, answer, confidence, latency = output.answer(status.document)
        return outcome, f"{answer} ({status.place})" if status.place else answer, confidence, latency
    if status.batch:
        return status.state, progress(status.batch), "", ""
    if status.until:
        return status.state, f"until {status.until:%Y-%m-%d %H:%M} UTC, for others to run with", "", ""
    return status.state, f"in step {status.steps[-1]}" if status.steps else "", "", ""


def progress(batch: Any) -> str:
    """A batch's progress in one line."""
    parts = [f"{batch.done:,}/{batch.total:,}"]
    parts += [f"{batch.failed:,} failed"] if batch.failed else []
    parts += [f"{batch.records_per_second:,.0f} records/s"] if batch.records_per_second else []
    parts += [f"{batch.remaining_seconds:,.0f} s left"] if batch.remaining_seconds else []
    return "  ".join(parts)


def _fields(handle: "Handle", status: "Status") -> dict[str, Any]:
    batch = status.batch
    return {
        "name": handle.name,
        "job": handle.job,
        "state": status.state,
        "steps": list(status.steps),
        "execution": status.execution,
        "place": status.place,
        "until": status.until and status.until.isoformat(),
        "records": batch and {"total": batch.total, "done": batch.done, "failed": batch.failed},
        "document": status.document and status.document.content,
    }
