"""Concurrent writers: of those with the same precondition, exactly one succeeds."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.api_core import exceptions
from google.cloud import storage

from emulator.storage import Store

WRITERS = 16


def race(operation: Callable[[int], object]) -> list[int]:
    """Run the operation in 16 threads that start together; returns the numbers of those that succeeded."""
    barrier = threading.Barrier(WRITERS)

    def run(number: int) -> bool:
        barrier.wait()
        try:
            operation(number)
        except exceptions.PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        return [number for number, won in enumerate(pool.map(run, range(WRITERS))) if won]


@pytest.mark.parametrize("chunk", [None, 256 * 1024])
def test_one_upload_creates(bucket: storage.Bucket, store: Store, chunk: int | None) -> None:
    data = [bytes([65 + number]) * 600_000 for number in range(WRITERS)]

    def upload(number: int) -> None:
        blob = bucket.blob("claim", chunk_size=chunk)
        size = None if chunk else len(data[number])
        blob.upload_from_file(io.BytesIO(data[number]), size=size, if_generation_match=0)

    (winner,) = race(upload)
    assert bucket.blob("claim").download_as_bytes() == data[winner]
    assert [change.type for change in store.outbox()] == ["finalize"]


def test_one_composition_creates(bucket: storage.Bucket) -> None:
    for number in range(WRITERS):
        bucket.blob(str(number)).upload_from_string(str(number))
    (winner,) = race(lambda number: bucket.blob("claim").compose([bucket.blob(str(number))], if_generation_match=0))
    assert bucket.blob("claim").download_as_text() == str(winner)


def test_one_copy_creates(bucket: storage.Bucket) -> None:
    for number in range(WRITERS):
        bucket.blob(str(number)).upload_from_string(str(number))
    (winner,) = race(lambda number: bucket.copy_blob(bucket.blob(str(number)), bucket, "claim", if_generation_match=0))
    assert bucket.blob("claim").download_as_text() == str(winner)


def test_one_take_over_and_one_patch(bucket: storage.Bucket) -> None:
    blob = bucket.blob("claim")
    blob.upload_from_string("stale")
    generation = blob.generation
    (winner,) = race(
        lambda number: bucket.blob("claim").upload_from_string(str(number), if_generation_match=generation)
    )
    assert bucket.blob("claim").download_as_text() == str(winner)

    def patch(number: int) -> None:
        mine = bucket.blob("claim")
        mine.metadata = {"winner": str(number)}
        mine.patch(if_metageneration_match=1)

    (winner,) = race(patch)
    assert bucket.get_blob("claim").metadata == {"winner": str(winner)}


def test_one_delete_wins_and_generations_stay_distinct(bucket: storage.Bucket, store: Store) -> None:
    race(lambda number: bucket.blob("busy").upload_from_string(str(number)))
    generations = [change.resource["generation"] for change in store.outbox() if change.type == "finalize"]
    assert len(set(generations)) == WRITERS
    assert generations == sorted(generations, key=int)
    live = bucket.get_blob("busy")

    def delete(number: int) -> None:
        try:
            bucket.blob("busy").delete(if_generation_match=live.generation)
        except exceptions.NotFound as error:
            raise exceptions.PreconditionFailed("gone") from error

    assert len(race(delete)) == 1
