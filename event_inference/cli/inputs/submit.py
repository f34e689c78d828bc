"""`einf submit`: sends files, folders or stdin, and waits for the documents if asked to."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.cli.values import DURATION, METADATA, PARAMETER
from event_inference.errors import INTERRUPTED, InputError
from event_inference.outcomes.documents import counted

if TYPE_CHECKING:
    from event_inference.client import Client
    from event_inference.outcomes.documents import Document
    from event_inference.outcomes.handle import Handle

_FEW = 40  # inputs up to which each has a line
_EXAMPLES = """
$ einf submit samples/texts --wait
input                   outcome    answer    confidence  latency
texts/complaint.txt     succeeded  NEGATIVE  0.97        … s
texts/from-notepad.txt  succeeded  POSITIVE  0.99        … s
texts/latin-1.txt       succeeded  NEGATIVE  0.98        … s
texts/praise.txt        succeeded  POSITIVE  0.99        … s
texts/review.md         succeeded  NEGATIVE  0.98        … s
texts/utf-16.txt        succeeded  POSITIVE  0.99        … s
6 sent, 6 succeeded
$ einf submit samples/images/eight.webp --model digits --parameter top_k=1 --wait
input       outcome    answer  confidence  latency
eight.webp  succeeded  8       0.97        … s
1 sent, 1 succeeded
$ einf submit samples/bad --wait
…
10 sent, 10 rejected (unknown_kind, unsupported_format, truncated_image, …)
$ echo "A dull film." | einf submit - --name dull.txt
1 sent
"""


@command(changes=True, examples=_EXAMPLES)
@click.argument("sources", nargs=-1, required=True, metavar="FILE|FOLDER|-…")
@click.option("--to", metavar="FOLDER", default="", help="Folder of the input bucket to send to.")
@click.option("--name", help="Name of the object, for one file or stdin.")
@click.option("--model", help="The served model; by default that of the input's kind.")
@click.option("--version", "version", help="The model's version.")
@click.option("-p", "--parameter", "parameters", multiple=True, type=PARAMETER, help="A parameter (docs/messages.md).")
@click.option("-m", "--metadata", multiple=True, type=METADATA, help="Custom metadata of your own.")
@click.option("--content-type", metavar="TYPE", help="Media type, for one file or stdin.")
@click.option("--wait", is_flag=True, help="Wait for the documents, and end with the status of the worst.")
@click.option("--timeout", type=DURATION, help="With --wait: how long at most, such as 90s or 10m.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=16, show_default=True, help="Uploads at a time.")
@click.option("--again", is_flag=True, help="Send also what the input bucket holds already.")
def submit(
    session: Session, sources: tuple[str, ...], as_json: bool, wait: bool, timeout: float | None, **options: Any
) -> int:
    """Send files, folders or stdin (-) to the pipeline.

    A folder keeps its name in the bucket, and hidden files are left out. A file with the same content and metadata
    is not sent twice, so an interrupted command continues when you run it again. NAME.parameters.json beside a file
    is its sidecar and is sent before it.
    """
    client = session.client("send inputs, which costs money,")
    with output.progress() as bars:
        sent = list(_counted(_handles(client, sources, options), bars))
    if as_json and not wait:
        for handle in sent:
            output.print_json(_fields(handle))
    if not wait:
        if not as_json:
            click.echo(_summary(sent, []))
        return 0
    documents = _waited(client, sent, timeout)
    if as_json:
        for _, document in documents:
            output.print_json(document.content)
    else:
        _print_outcomes(documents)
        click.echo(_summary(sent, [document for _, document in documents]))
    return output.exit_status(document for _, document in documents)


def _handles(client: "Client", sources: tuple[str, ...], options: dict[str, Any]) -> "Iterator[Handle]":
    about: dict[str, Any] = {
        "model": options["model"],
        "version": options["version"],
        "parameters": _once(options["parameters"]),
        "metadata": _once(options["metadata"]),
        "again": options["again"],
    }
    single: dict[str, Any] = {"name": options["name"], "content_type": options["content_type"]}
    if sources == ("-",):
        content = sys.stdin.buffer.read()
        name = options["name"] and _joined(options["to"], options["name"])
        yield client.submit(content, **(single | {"name": name}), **about)
        return
    if "-" in sources:
        raise InputError("- stands alone: stdin cannot be mixed with files.")
    if any(single.values()):
        if len(sources) != 1:
            raise InputError("--name and --content-type are for one file or stdin.")
        single["name"] = _joined(options["to"], options["name"] or Path(sources[0]).name)
        yield client.submit(sources[0], **single, **about)
        return
    yield from client.submit_many(sources, to=options["to"], concurrency=options["concurrency"], **about)


def _joined(folder: str, name: str) -> str:
    return f"{folder.strip('/')}/{name}".lstrip("/")


def _once(pairs: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    names = Counter(name for name, _ in pairs)
    for name, count in names.items():
        if count > 1:
            raise InputError(f"{name} is given twice.")
    return dict(pairs)


def _counted(handles: "Iterator[Handle]", bars: Any) -> "Iterator[Handle]":
    """The handles, counted on stderr; an interruption says how to continue."""
    bar = bars.add_task("Sent", total=None)
    count = 0
    try:
        for handle in handles:
            count += 1
            bars.update(bar, completed=count)
            yield handle
    except KeyboardInterrupt:
        bars.stop()
        output.remark(
            f"Interrupted after {counted(count, 'input')}. "
            "Run the same command again for the rest: nothing is sent twice."
        )
        raise click.exceptions.Exit(INTERRUPTED) from None


def _waited(client: "Client", sent: "list[Handle]", timeout: float | None) -> "list[tuple[Handle, Document]]":
    """The documents in order of the inputs' names."""
    found: list[tuple[Handle, Document]] = []
    with output.progress() as bars:
        bar = bars.add_task("Documents", total=len(sent))
        for handle, document in client.wait(sent, timeout=timeout):
            found.append((handle, document))
            bars.advance(bar)
    return sorted(found, key=lambda pair: pair[0].name)


def _print_outcomes(documents: "list[tuple[Handle, Document]]") -> None:
    """A line for each input, or for those alone that did not succeed if there are many."""
    chosen = documents if len(documents) <= _FEW else [pair for pair in documents if not pair[1].ok]
    rows = [(handle.name, *output.answer(document)) for handle, document in chosen[:_FEW]]
    output.table(rows, "input", "outcome", "answer", "confidence", "latency")
    output.notes([document for _, document in chosen])
    if len(chosen) > _FEW:
        output.remark(f"… and {len(chosen) - _FEW} more: einf rejected, einf failed")


def _summary(sent: "list[Handle]", documents: "list[Document]") -> str:
    new = sum(handle.is_new for handle in sent)
    parts = [f"{new:,} sent"] + ([f"{len(sent) - new:,} already there"] if new < len(sent) else [])
    counts = Counter(document.status for document in documents)
    for status in ("succeeded", "partial", "unsuccessful", "rejected", "failed"):
        if counts[status]:
            parts.append(f"{counts[status]:,} {status}{_codes(documents, status)}")
    return ", ".join(parts)


def _codes(documents: "list[Document]", status: str) -> str:
    codes = Counter(code for found in documents if found.status == status and (code := getattr(found, "code", None)))
    shown = [code for code, _ in codes.most_common(3)]
    return f" ({', '.join(shown)}{', …' if len(codes) > len(shown) else ''})" if codes else ""


def _fields(handle: "Handle") -> dict[str, Any]:
    return {
        "name": handle.name,
        "generation": str(handle.generation),
        "job": handle.job,
        "document": handle.document_name,
        "is_new": handle.is_new,
    }
