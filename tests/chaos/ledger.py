"""Compares the documents of every generation with what they should be."""

import csv
import io
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import storage

from tests.chaos.inputs import Sent

FOLDERS = ("results", "rejected", "failed")
GONE = {"status": "rejected", "reason.code": "input_gone"}
# Documents of orders whose every delivery failed; the latter if no delivery reached the function, which would have
# noted which message it was.
ORDERS = ("messages/messages/", "messages/dead-letters/")


@dataclass
class Audit:
    """The state of all documents; the problems by document or object."""

    found: Counter[str] = field(default_factory=Counter)  # by folder
    kinds: Counter[str] = field(default_factory=Counter)
    orders: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)  # failed or partial
    double: dict[str, list[str]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    latest: dict[str, str] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        return not (self.missing or self.unfinished or self.double or self.latest)

    @property
    def problems(self) -> dict[str, Any]:
        names = ("missing", "unfinished", "double", "wrong", "unexpected", "latest")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


@dataclass
class Ledger:
    """What was sent, by document (`<object name>/<generation>`), and which generations still exist."""

    client: storage.Client
    sent: dict[str, Sent] = field(default_factory=dict)
    living: dict[str, int] = field(default_factory=dict)  # the generation of each object that was not deleted
    contents: dict[tuple[str, int], Any] = field(default_factory=dict)

    def uploaded(self, sent: Sent, generation: int) -> None:
        self.living[sent.name] = generation
        self.sent[f"{sent.name}/{generation}"] = sent

    def deleted(self, name: str) -> None:
        del self.living[name]

    def forged(self, name: str, generation: int) -> None:
        self.sent[f"{name}/{generation}"] = Sent(name, b"", GONE)

    def documents(self) -> dict[str, list[storage.Blob]]:
        """The terminal documents by input."""
        found: dict[str, list[storage.Blob]] = defaultdict(list)
        for folder in FOLDERS:
            for blob in self.client.list_blobs("local-output", prefix=f"{folder}/"):
                if blob.name.endswith(".json"):
                    found[blob.name.partition("/")[2].removesuffix(".json")].append(blob)
        return found

    def audit(self) -> Audit:
        expected, found = dict(self.sent), self.documents()
        audit = Audit(missing=sorted(expected.keys() - found.keys()))
        single: dict[str, storage.Blob] = {}
        for document, blobs in found.items():
            audit.found.update(blob.name.partition("/")[0] for blob in blobs)
            if document.startswith(ORDERS):
                audit.orders.append(document)
            elif document not in expected:
                audit.unexpected.append(document)
            elif len(blobs) > 1:
                audit.double[document] = [blob.name for blob in blobs]
            else:
                single[document] = blobs[0]
                self._check(audit, document, expected[document], blobs[0])
        audit.kinds = self._kinds(single)
        audit.latest = self._latest(single)
        return audit

    def _kinds(self, single: dict[str, storage.Blob]) -> Counter[str]:
        """How many documents are of inputs that vanished, of batches, of micro-batches, or not of a first attempt.

        An input for which no execution was left got into a micro-batch although its folder is not collected.
        """
        contents = [self._content(blob) for blob in single.values()]
        of_executions = [(content, at(content, "lineage.execution")) for content in contents]
        members = Counter(execution for _, execution in of_executions if execution)
        shared = [content for content, execution in of_executions if members[execution] > 1]
        return Counter(
            {
                "documents input_gone": sum(at(content, "reason.code") == "input_gone" for content in contents),
                "documents of several shards": sum((at(content, "data.shards") or 0) > 1 for content in contents),
                "documents of micro-batches": len(shared),
                "documents of inputs that found no execution left": sum(is_overflow(content) for content in shared),
                "documents of replays": sum("attempts" in content for content in contents),
            }
        )

    def _check(self, audit: Audit, document: str, sent: Sent, blob: storage.Blob) -> None:
        content = self._content(blob)
        if content["status"] in ("failed", "partial"):
            audit.unfinished.append(document)
            return
        generation = document.rpartition("/")[2]
        if (content["input"]["name"], content["input"]["generation"]) != (sent.name, generation):
            audit.wrong[document] = f"is the document of {content['input']}"
        elif sent.may_vanish and {path: at(content, path) for path in GONE} == GONE:
            return
        values = {path: at(content, path) for path in sent.expected}
        if values != sent.expected:
            audit.wrong[document] = f"{values} instead of {sent.expected}"
        elif sent.rows and (rows := self._rows(content)) != sent.rows:
            audit.wrong[document] = f"rows {rows} instead of {sent.rows}"

    def _content(self, blob: storage.Blob) -> Any:
        """The content of a listed document; `{"status": "failed"}` for one that a replay has just removed."""
        key = blob.name, blob.generation
        if key not in self.contents:
            try:
                self.contents[key] = json.loads(blob.download_as_bytes())
            except NotFound:
                return {"status": "failed"}
        return self.contents[key]

    def _rows(self, content: Any) -> list[str]:
        """The ids in a document's data file, in order."""
        uri = content["data"]["uri"]
        if ("rows", uri) not in self.contents:
            text = storage.Blob.from_uri(uri, client=self.client).download_as_bytes().decode()
            lines = csv.DictReader(io.StringIO(text)) if uri.endswith(".csv") else map(json.loads, text.splitlines())
            self.contents["rows", uri] = [str(line["id"]) for line in lines]
        rows: list[str] = self.contents["rows", uri]
        return rows

    def _latest(self, single: dict[str, storage.Blob]) -> dict[str, str]:
        """Objects whose copy under latest/ is not the document of their newest generation.

        A generation that was gone when it was first read does not count. One whose first delivery failed, and that was
        gone when it was replayed, may have existed at that moment and count, or not.
        """
        newest: dict[str, int] = {}
        uncertain: dict[str, list[int]] = defaultdict(list)
        for document, blob in single.items():
            name, _, generation = document.rpartition("/")
            content = self._content(blob)
            attempts = content.get("attempts", [])
            if at(content, "reason.code") != "input_gone" or any(attempt["execution"] for attempt in attempts):
                newest[name] = max(int(generation), newest.get(name, 0))
            elif attempts and self.sent[document].expected is not GONE:
                uncertain[name].append(int(generation))
        newest |= self.living
        copies = {blob.name: blob.crc32c for blob in self.client.list_blobs("local-output", prefix="latest/")}
        problems = {}
        for name, number in newest.items():
            terminal = single.get(f"{name}/{number}")
            possible = [number, *(other for other in uncertain[name] if other > number)]
            allowed = {single[f"{name}/{other}"].crc32c for other in possible if f"{name}/{other}" in single}
            if terminal is not None and copies.get(f"latest/{name}.json") not in allowed:
                problems[name] = f"is not {terminal.name}"
        extra = {name.removeprefix("latest/").removesuffix(".json") for name in copies if name.endswith(".json")}
        return problems | dict.fromkeys(
            extra - newest.keys() - uncertain.keys(), "exists, although no generation was read"
        )


def is_overflow(content: Any) -> bool:
    """Whether a document of a micro-batch is of an input that would have had an execution of its own."""
    return content["status"] == "succeeded" and content["input"]["name"].startswith(("lasting/", "fleeting/"))


def at(content: Any, path: str) -> Any:
    """The value at a dotted path; None if there is none."""
    for key in path.split("."):
        content = content[int(key)] if isinstance(content, list) else (content or {}).get(key)
    return content
