"""Manifests: one order for many objects of the input bucket, each of which becomes a job of its own."""

import contextvars
import functools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import clients, documents, inputs, parameters, shapes
from pipeline.errors import InProgressError, RejectedError, ThrottledError
from pipeline.events import Upload
from pipeline.jobs import Input, Job, int64
from pipeline.text import decode

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).with_name("schemas") / "manifest.schema.json"
CONCURRENCY = 8
Entry = dict[str, Any]


class NestedManifestError(Exception):
    """A manifest names a manifest, which has an event of its own; that one's job stays as it is."""

    code = "nested_manifest"
    message = "A manifest cannot name another manifest, nor itself."


@dataclass(frozen=True, slots=True)
class Item:
    """One input of a manifest; `generation` None for the newest."""

    uri: str
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest."""

    id: str
    items: tuple[Item, ...]
    model: parameters.Model | None
    parameters: dict[str, Any]


def load(source: Input, limit: int) -> Manifest:
    """Reads an uploaded manifest."""
    try:
        return parse(shapes.parse(decode(inputs.read(source, limit))))
    except RejectedError as error:
        error.kind = "manifest"
        raise


def parse(value: Any) -> Manifest:
    """Checks a manifest against its schema.

    Raises:
        RejectedError: `invalid_manifest`, or `invalid_parameters`.
    """
    from jsonschema.exceptions import best_match

    if error := best_match(_validator().iter_errors(value)):
        raise RejectedError("invalid_manifest", f"{error.json_path}: {error.message}"[:500], "manifest")
    model = value.get("model")
    asked = {"model": model} if isinstance(model, str) else dict(model or {})
    if "name" in asked:
        asked["model"] = asked.pop("name")
    chosen, checked = parameters.check({**value.get("parameters", {}), **asked})
    return Manifest(value["id"], tuple(map(_item, value["inputs"])), chosen, checked)


def find(item: Item, bucket: str) -> Upload:
    """The object that an item names, as it is now.

    Raises:
        RejectedError: `foreign_bucket` or `input_gone`.
    """
    owner, _, name = item.uri.removeprefix("gs://").partition("/")
    if owner != bucket:
        raise RejectedError("foreign_bucket", f"{item.uri} lies outside the input bucket gs://{bucket}.")
    blob = clients.bucket(owner).get_blob(name, generation=item.generation)
    if blob is None:
        raise RejectedError("input_gone", f"{item.uri} does not exist, or not in the generation named.")
    return Upload.of_blob(blob)


def each(manifest: Manifest, take_in: Callable[[Item], Entry]) -> list[Entry]:
    """Takes in the items, several at a time; an item that is refused has the reason in its entry.

    Raises:
        InProgressError: an item is being claimed elsewhere; all the others were taken in.
        ThrottledError: the hour's executions do not suffice; as many were started as there were.
    """
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        taken = [
            pool.submit(contextvars.copy_context().run, functools.partial(_taken, take_in), item)
            for item in manifest.items
        ]
        answers = [future.result() for future in taken]
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return [answer for answer in answers if not isinstance(answer, Exception)]


def entry(item: Item, source: Input, job: Job) -> Entry:
    return {"uri": item.uri, "generation": str(source.generation), "job": job.id, "document": job.document}


def document(job: Job, entries: list[Entry]) -> documents.Document:
    """The manifest's own result, which lists each input with its job and its document's name.

    Raises:
        RejectedError: not one of its inputs could be taken in.
    """
    refused = [entry["error"] for entry in entries if "error" in entry]
    if len(refused) == len(entries):
        raise RejectedError(refused[0]["code"], refused[0]["message"], "manifest")
    return documents.result(
        job,
        documents.Lineage(),
        documents.Usage(),
        {"inputs": entries},
        status="partial" if refused else "succeeded",
        model=None,
        confidence=None,
        gpu_usd_per_second=0.0,
    )


def _taken(take_in: Callable[[Item], Entry], item: Item) -> Entry | InProgressError | ThrottledError:
    try:
        return take_in(item)
    except (InProgressError, ThrottledError) as error:
        return error
    except (RejectedError, NestedManifestError) as error:
        generation = None if item.generation is None else str(item.generation)
        return {
            "uri": item.uri,
            "generation": generation,
            "error": {"code": error.code, "message": error.message},
        }


def _item(value: Any) -> Item:
    if isinstance(value, str):
        return Item(value)
    generation = value.get("generation")
    return Item(value["uri"], None if generation is None else int64(generation, "generation"))


@functools.cache
def _validator() -> "Draft202012Validator":
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_text()))
