"""Sends every sample through the whole local pipeline and prints the outcomes: `make demo`.

Starts the emulator with all services, uploads `samples/` with the official Cloud Storage client, publishes one
message with the official Pub/Sub client, waits for the terminal document of each, and compares it with expected.yaml.
`--kill` kills all processes midway and restarts them.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from emulator.process import Stack, StackError
from emulator.terminal import escaped
from samples.outcomes import MESSAGE, Outcome, differences, expected, table

HERE = Path(__file__).parent
PROJECT = "local-project"
OUTPUT = HERE.parent / ".local" / "demo" / "output"
MESSAGE_BODY = b'{"instances": [{"text": "A joy from start to finish."}, {"text": "Tedious and badly made."}]}'
LARGE_BATCH = 1000  # records; a batch of so many gets its own progress bar
PREFIXES = ("results/", "rejected/", "failed/")


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
    except StackError as error:
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
    client = connect(stack)
    sent = send(client, console)
    if kill:
        console.print("Killing everything (SIGKILL) and starting it again …")
        stack.kill()
        stack.start()
        client = connect(stack)
    return wait(client, stack, sent, console, timeout_s)


def connect(stack: Stack) -> storage.Client:
    os.environ["STORAGE_EMULATOR_HOST"] = stack.http
    os.environ["PUBSUB_EMULATOR_HOST"] = stack.grpc
    return storage.Client(project=PROJECT, credentials=AnonymousCredentials())


def send(client: storage.Client, console: Console) -> dict[str, str]:
    """Upload all samples and publish one message; returns each sample by the name of its future document."""
    bucket = client.bucket("local-input")
    documents = {}
    for name in expected():
        if name == MESSAGE:
            continue
        blob = bucket.blob(name)
        blob.upload_from_filename(HERE / name, if_generation_match=0)
        documents[f"{name}/{blob.generation}"] = name
    publisher = pubsub_v1.PublisherClient()
    message = publisher.publish(publisher.topic_path(PROJECT, "messages"), MESSAGE_BODY).result(timeout=30)
    documents[f"messages/messages/id-{message}"] = MESSAGE
    console.print(f"Sent: {len(documents) - 1} files to gs://local-input, 1 message to the topic 'messages'.")
    return documents


def wait(
    client: storage.Client, stack: Stack, sent: dict[str, str], console: Console, timeout_s: float
) -> list[Outcome]:
    """Poll the output bucket until everything that was sent has its terminal document."""
    documents: dict[str, list[storage.Blob]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    deadline = time.monotonic() + timeout_s
    with Progress(*columns, console=console) as progress:
        bars = {"": progress.add_task("Terminal documents", total=len(sent))}
        while len(documents) < len(sent) and time.monotonic() < deadline:
            stack.check()
            time.sleep(0.2)
            show_batches(client, sent, progress, bars)
            documents = terminal_documents(client, sent)
            progress.update(bars[""], completed=len(documents))
    fetch(client)
    return [Outcome.read(name, documents.get(document, [])) for document, name in sent.items()]


def show_batches(client: storage.Client, sent: dict[str, str], progress: Progress, bars: dict[str, TaskID]) -> None:
    """Show the progress of each large batch, from its status in the output bucket."""
    bucket = client.bucket("local-output")
    for blob in client.list_blobs(bucket, prefix="status/"):
        try:
            status = json.loads(bucket.blob(blob.name).download_as_bytes())  # the newest generation
        except NotFound:
            continue
        total, done = (status["records"][key] for key in ("total", "done"))
        sample = sent.get(status["document"])
        if sample is None or total < LARGE_BATCH:
            continue
        if sample not in bars:
            bars[sample] = progress.add_task(f"{sample}, records", total=total)
        progress.update(bars[sample], completed=done)


def terminal_documents(client: storage.Client, sent: dict[str, str]) -> dict[str, list[storage.Blob]]:
    documents: dict[str, list[storage.Blob]] = {}
    for blob in client.list_blobs("local-output"):
        prefix, _, rest = blob.name.partition("/")
        document = rest.removesuffix(".json")
        if f"{prefix}/" in PREFIXES and rest.endswith(".json") and document in sent:
            documents.setdefault(document, []).append(blob)
    return documents


def fetch(client: storage.Client) -> None:
    bucket = client.bucket("local-output")
    for blob in client.list_blobs(bucket):
        path = OUTPUT / blob.name
        path.parent.mkdir(parents=True, exist_ok=True)
        bucket.blob(blob.name).download_to_filename(path)  # the newest generation


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kill", action="store_true", help="kill all processes midway and restart them")
    parser.add_argument("--timeout", type=float, default=90, metavar="SECONDS", help="how long to wait for documents")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
