"""Measures how the cut job cuts a large table: its rate, its memory, and what a kill in the middle costs.

    python -m benchmarks.batches.cut [--gib 2.5] [--kills 1] [--gzip]

The table is generated, with quoted line breaks, and lies in the emulated Cloud Storage, whose process takes a core of
its own. Each kill is SIGKILL after an equal share of its bytes. At the end every row is counted and its number read
back from the shards, in order.
"""

import argparse
import gzip
import io
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from emulator.process import Stack

ROOT = Path(__file__).parents[2]
FUNCTIONS = ROOT / "functions"
PATHS = (FUNCTIONS, FUNCTIONS / "preprocess")
CHUNK_BYTES = 8 << 20
OFFSET = (1 << 64) - 1  # the byte offset in a position
REVIEW = '"The plot of this film is thin,\nbut the cast is ""charming"" and the music lovely; I left smiling."'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=2.5)
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--gzip", action="store_true", help="compress the table")
    options = parser.parse_args()
    sys.path[:0] = map(str, PATHS)
    with tempfile.TemporaryDirectory() as folder, store(Path(folder)) as client:
        size = int(options.gib * (1 << 30))
        argument, rows = upload(client, size, packed=options.gzip)
        print(f"{options.gib} GiB, {rows:,} rows", flush=True)
        for kill in range(1, options.kills + 1):
            began = time.monotonic()
            left = cut(client, argument, until=size * kill // (options.kills + 1))
            print(f"killed after {time.monotonic() - began:.0f} s with {left:,} shards", flush=True)
        began = time.monotonic()
        cut(client, argument)
        seconds = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"cut in {seconds:.0f} s; the job took at most {peak:.0f} MiB", flush=True)
        batch = check(client, argument["job"], rows)
        print(f"{batch['shards']:,} shards of {batch['records_per_shard']:,} rows: each row once, in order")


@contextmanager
def store(folder: Path) -> Iterator[storage.Client]:
    """The emulated Cloud Storage."""
    stack = folder / "stack.yaml"
    buckets: dict[str, Any] = {f"local-{name}": {} for name in ("input", "work", "output")}
    stack.write_text(yaml.safe_dump({"project": "local-project", "location": "us-central1", "buckets": buckets}))
    with Stack(folder / "state", stack=stack) as running:
        running.start()
        os.environ["STORAGE_EMULATOR_HOST"] = running.http
        yield storage.Client(project="local-project", credentials=AnonymousCredentials())


def upload(client: storage.Client, size: int, *, packed: bool) -> tuple[dict[str, Any], int]:
    """Uploads a table of a size in bytes, and returns the argument of its job and the number of its rows."""
    from pipeline.jobs.job import Input, Job, of_object

    blob = client.bucket("local-input").blob("reviews.csv.gz" if packed else "reviews.csv", chunk_size=CHUNK_BYTES)
    with blob.open("wb", content_type="text/csv", ignore_flush=True) as target:
        if packed:
            with gzip.open(target, "wb", compresslevel=1) as content:
                rows = write(content, size)
        else:
            rows = write(target, size)
    blob.reload()
    source = Input(blob.bucket.name, blob.name, blob.generation, blob.size, blob.content_type)
    document = f"{blob.name}/{blob.generation}"
    identity = of_object(source.bucket, source.name, source.generation)
    job = Job(identity, document, "1", "2026-01-01T00:00:00Z", source, "table", None, {})
    argument: dict[str, Any] = dict(job.argument())
    name = f"shards/{identity}/argument.json"
    client.bucket("local-work").blob(name).upload_from_string(json.dumps(argument))
    return argument, rows


def write(target: IO[bytes], size: int) -> int:
    """Writes rows until the table has the size, and returns how many."""
    written = target.write(b"id,review\n")
    row = 0
    while written < size:
        block = "".join(f"{number},{REVIEW}\n" for number in range(row, row + 50_000)).encode()
        target.write(block)
        written += len(block)
        row += 50_000
    return row


def cut(client: storage.Client, argument: dict[str, Any], *, until: int | None = None) -> int:
    """Runs the job; with `until`, kills it once it has read so many bytes, and returns the shards of its checkpoint."""
    from pipeline.jobs import batches

    job: str = argument["job"]
    environ = os.environ | {
        "GOOGLE_CLOUD_PROJECT": "local-project",
        "INPUT_BUCKET": "local-input",
        "WORK_BUCKET": "local-work",
        "OUTPUT_BUCKET": "local-output",
        "PYTHONPATH": ":".join(map(str, PATHS)),
        "CUT_ARGUMENT": f"gs://local-work/shards/{job}/argument.json",
    }
    command = [sys.executable, "-m", "preprocessing.cut_job"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as process:
        while until is not None and process.poll() is None:
            reached = batches.read_checkpoint(client.bucket("local-work"), job)
            if reached.position and reached.position["line"] & OFFSET >= until:
                process.kill()
                process.wait()
                return reached.shards
            time.sleep(0.5)
        if process.wait():
            sys.exit("The job failed.")
    return 0


def check(client: storage.Client, job: str, rows: int) -> dict[str, Any]:
    """The batch, whose shards have the numbers of all rows in order."""
    work = client.bucket("local-work")
    batch: dict[str, Any] = json.loads(work.blob(f"shards/{job}/index.json").download_as_bytes())
    numbers = itertools.count()
    for shard in range(batch["shards"]):
        lines = io.BytesIO(work.blob(f"shards/{job}/{shard}.jsonl").download_as_bytes())
        for line in lines:
            row = json.loads(line)["row"]
            if int(row[0]) != next(numbers):
                sys.exit(f"Shard {shard} has row {row[0]} in another place.")
    if next(numbers) != rows or batch["records"] != rows:
        sys.exit("Rows are missing.")
    return batch


if __name__ == "__main__":
    main()
