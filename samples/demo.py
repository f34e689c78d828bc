"""Sends every sample through the whole local pipeline and prints the outcomes: `make demo`.

Starts the emulator with all services, sends `samples/` and one message with the pipeline's own client, waits for the
terminal document of each, and compares it with expected.yaml.
`--kill` kills all processes midway and restarts them.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from emulator.process import Stack, StackError
from emulator.terminal import escaped
from event_inference import Client, Document, EventInferenceError, Handle, WaitTimeoutError
from samples.outcomes import MESSAGE, Outcome, differences, expected, table

HERE = Path(__file__).parent
OUTPUT = HERE.parent / ".local" / "demo" / "output"
INSTANCES = [{"text": "A joy from start to finish."}, {"text": "Tedious and badly made."}]
LARGE_BATCH = 1000  # records; a batch of so many gets its own progress bar


def main() -> int:
    options = parse(sys.argv[1:])
    console = Console(width=None if sys.stdout.isatty() else 140)
    shutil.rmtree(OUTPUT.parent, ignore_errors=True)
    began = time.monotonic()
    try:
        with Stack(OUTPUT.parent / "state") as stack:
            outcomes = run(stack, console, kill=options.kill, timeout_s=options.timeout)
            refused = [
                f"{each['account']} lacks {each['permission']} on {each['resource']}" for each in stack.refusals()
            ]
    except (StackError, EventInferenceError) as error:
        console.print(Text(escaped(str(error)), "red"))
        return 1
    console.print(table(outcomes))
    wrong = [*differences(outcomes), *refused]
    for line in wrong:
        console.print(Text.assemble(("not as expected: ", "red"), escaped(line)))
    console.print(
        f"{len(outcomes)} inputs, {len(wrong)} not as expected, {time.monotonic() - began:.1f} s in all. "
        f"The documents are in {OUTPUT.relative_to(HERE.parent)}/, the logs in {stack.data.relative_to(HERE.parent)}/."
    )
    return 1 if wrong else 0


def run(stack: Stack, console: Console, *, kill: bool, timeout_s: float) -> list[Outcome]:
    """Start the stack, send the samples, wait for every terminal document, and download the documents to OUTPUT."""
    with console.status("Starting the emulator and every service of the pipeline on this machine's CPU …"):
        stack.start()
    console.print(f"Up: Google's APIs at {stack.http} and {stack.grpc}, {len(stack.addresses['services'])} services.")
    handles = send(Client(local=stack.data), console)
    if kill:
        console.print("Killing everything (SIGKILL) and starting it again …")
        stack.kill()
        stack.start()
    client = Client(local=stack.data)
    wait(client, handles, stack.check, console, timeout_s)
    return outcomes(client, handles)


def send(client: Client, console: Console) -> dict[str, Handle]:
    """Upload all samples and publish one message; returns the handles by sample."""
    handles = {name: client.submit(HERE / name, name=name) for name in expected() if name != MESSAGE}
    handles[MESSAGE] = client.publish(INSTANCES)
    console.print(f"Sent: {len(handles) - 1} files to gs://local-input, 1 message to the topic 'messages'.")
    return handles


def wait(
    client: Client, handles: dict[str, Handle], check: Callable[[], None], console: Console, timeout_s: float
) -> None:
    """Show progress until everything that was sent has a document, or the time is over.

    Args:
        check: raises StackError if the stack has ended.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {"": progress.add_task("Terminal documents", total=len(handles))}

        def look() -> None:
            check()
            show_batches(client, progress, bars)

        try:
            for _ in client.wait(handles.values(), timeout=timeout_s, on_poll=look):
                progress.advance(bars[""])
        except WaitTimeoutError as error:
            console.print(Text(escaped(str(error)), "red"))


def show_batches(client: Client, progress: Progress, bars: dict[str, TaskID]) -> None:
    """Show the progress of each large batch."""
    for batch in client.batches():
        if batch.total < LARGE_BATCH:
            continue
        if batch.input not in bars:
            bars[batch.input] = progress.add_task(f"{batch.input}, records", total=batch.total)
        progress.update(bars[batch.input], completed=batch.done)


def outcomes(client: Client, handles: dict[str, Handle]) -> list[Outcome]:
    """The terminal documents of each sample, of which there should be one, saved to OUTPUT with their data."""
    documents: dict[str, list[Document]] = {}
    for found in (client.results, client.rejected, client.failed):
        for document in found(every_generation=True):
            documents.setdefault(document.name.partition("/")[2].removesuffix(".json"), []).append(document)
    return [
        Outcome(
            sample,
            [document.content for document in documents.get(handle.document_name, [])],
            [row for document in documents.get(handle.document_name, []) for row in saved(client, document)],
        )
        for sample, handle in handles.items()
    ]


def saved(client: Client, document: Document) -> list[str]:
    """Save a document and its data; returns the rows of a forecast."""
    files = client.save(document, OUTPUT)
    return files[1].read_text().splitlines() if document.kind == "timeseries" and len(files) > 1 else []


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kill", action="store_true", help="kill all processes midway and restart them")
    parser.add_argument("--timeout", type=float, default=90, metavar="SECONDS", help="how long to wait for documents")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
