"""Rows of the index, made of objects and documents."""

from datetime import datetime
from typing import Any

from console.index.store import Row
from event_inference import Document, Failed, Rejected, Result, names
from event_inference.inputs.uploads import SIDECAR

ANSWER = 200  # characters of a label or a message that a row holds
_DIGITS = 18  # of a generation, which has 16 and fits into 64 bits


def is_input(name: str) -> bool:
    """Whether a document will follow an object of the input bucket: not for sidecars and folders."""
    return not name.endswith((SIDECAR, "/"))


def of_object(bucket: str, name: str, generation: int, size: int | None, uploaded: datetime) -> Row:
    """An upload without a document yet."""
    return {
        "document": names.document(name, generation),
        "name": name,
        "generation": generation,
        "job": names.job(bucket, name, generation),
        "state": "waiting",
        "size": size,
        "received": uploaded.timestamp(),
        "changed": uploaded.timestamp(),
    }


def of_listed(folder: str, document: str, object_generation: int, updated: datetime) -> Row:
    """A document that has not been read yet; its folder says already how it ended."""
    name, generation = _named(document)
    return {
        "document": document,
        "name": name,
        "generation": generation,
        "folder": folder,
        "object_generation": object_generation,
        "unread": 1,
        "state": {"results": "succeeded"}.get(folder, folder),
        "received": updated.timestamp(),
        "changed": updated.timestamp(),
    }


def of_document(document: Document) -> Row:
    """What a document adds to its row."""
    content = document.content
    model = content.get("model") or {}
    device = (content.get("cost") or {}).get("device") or {}
    name = document.name.partition("/")[2].removesuffix(".json")
    row: dict[str, Any] = {
        "document": name,
        "name": document.input,
        "generation": _named(name)[1],
        "received": datetime.fromisoformat(content["timing"]["received_at"]).timestamp(),
        "job": document.job,
        "unread": 0,
        "state": document.status,
        "kind": document.kind,
        "latency": document.latency,
        "changed": document.finished_at.timestamp(),
        "execution": document.execution,
        "model": model.get("name"),
        "version": model.get("version"),
        "size": content.get("input", {}).get("size"),
        "device_seconds": device.get("seconds"),
        "label": None, "answer": None, "confidence": None, "review": 0, "usd": None, "device_usd": None,
        "code": None, "message": None, "step": None, "records": None, "failed_records": None,
    }  # fmt: skip
    if isinstance(document, Result):
        row |= _of_result(document)
    elif isinstance(document, Rejected):
        row |= {"code": document.code, "message": document.message, "answer": document.message[:ANSWER]}
    elif isinstance(document, Failed):
        row |= {"code": document.code, "message": document.message, "step": document.step}
        row["answer"] = document.message[:ANSWER]
    return row


def _of_result(document: Result) -> Row:
    data = document.data or {}
    return {
        "label": document.label and document.label[:ANSWER],
        "answer": _answer(document)[:ANSWER],
        "confidence": document.confidence,
        "review": int(document.requires_review),
        "usd": document.cost_usd,
        "device_usd": document.device_usd,
        "records": data.get("records"),
        "failed_records": data.get("failed"),
        "code": next(iter(data.get("errors") or {}), None),
    }


def _answer(document: Result) -> str:
    if document.kind == "timeseries" and document.data:
        frequency = document.content.get("forecast", {}).get("series", {}).get("frequency_words", "")
        return f"{document.data['records']} steps ahead" + (f", {frequency}" if frequency else "")
    return document.summary


def _named(document: str) -> tuple[str, int]:
    """The name and the generation of the object that a document is of; a message's has no generation."""
    name, _, generation = document.rpartition("/")
    is_number = generation.isdecimal() and len(generation) <= _DIGITS
    return (name, int(generation)) if name and is_number else (document, 0)
