"""The outcome of each sample, compared with the expected one."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table
from rich.text import Text

from emulator.terminal import escaped

MESSAGE = "message"
EXPECTED = Path(__file__).with_name("expected.yaml")
COLOURS = {"succeeded": "green", "partial": "yellow", "unsuccessful": "red", "rejected": "cyan"}


def expected() -> dict[str, dict[str, Any]]:
    outcomes: dict[str, dict[str, Any]] = yaml.load(EXPECTED.read_text(), Loader=yaml.BaseLoader)  # dates stay text
    return outcomes


@dataclass(frozen=True)
class Outcome:
    """One sample's terminal documents: exactly one when all is well."""

    sample: str
    documents: list[dict[str, Any]]
    rows: list[str]  # the lines of a forecast's CSV, header first

    @property
    def document(self) -> dict[str, Any]:
        return self.documents[0] if self.documents else {"status": "missing"}

    def observed(self) -> dict[str, Any]:
        """The document in the form of expected.yaml."""
        document = self.document
        observed: dict[str, Any] = {"status": document["status"], "kind": document.get("kind")}
        if document["status"] == "rejected":
            observed["code"] = document["reason"]["code"]
        predictions = document.get("predictions") or []
        labels = [prediction.get("label") for prediction in predictions]
        observed |= {"label": labels[0]} if len(labels) == 1 else {"labels": labels}
        if self.rows:
            dates = self._dates()
            observed |= {"forecast": [dates[0], dates[-1]], "rows": str(len(dates))}
        elif "data" in document:
            observed |= {"records": str(document["data"]["records"]), "failed": str(failed(document))}
        return observed

    def summary(self) -> str:
        """One line for a reader: the label, the forecast's span, or the reason."""
        document = self.document
        if document["status"] == "rejected":
            return f"{document['reason']['code']}: {document['reason']['message']}"
        if document["status"] == "failed":
            return f"{document['error']['code']}: {document['error']['message']}"
        if self.rows:
            dates = self._dates()
            return f"{len(dates)} steps, {dates[0]} … {dates[-1]}"
        if "data" in document:
            return f"{document['data']['records']} records, {failed(document)} failed"
        return ", ".join(str(prediction.get("label")) for prediction in document.get("predictions", []))

    def _dates(self) -> list[str]:
        """The forecast's dates; its CSV has the delimiter of its input."""
        return [re.split("[,;\t]", row, maxsplit=1)[0] for row in self.rows[1:]]


def failed(document: dict[str, Any]) -> int:
    count = document["data"]["failed"]
    return sum(count.values()) if isinstance(count, dict) else count


def differences(outcomes: list[Outcome]) -> list[str]:
    """One sentence for each difference between an outcome and the expected one."""
    sentences = []
    for outcome in outcomes:
        if len(outcome.documents) != 1:
            sentences.append(f"{outcome.sample} has {len(outcome.documents)} terminal documents")
            continue
        observed = outcome.observed()
        sentences += [
            f"{outcome.sample}: {key} is {observed.get(key)!r}, expected {value!r}"
            for key, value in expected()[outcome.sample].items()
            if observed.get(key) != value
        ]
    return sentences


def table(outcomes: list[Outcome]) -> Table:
    outcome_table = Table("input", "kind", "outcome", "label or reason", "confidence", "latency", "cost", box=None)
    for outcome in outcomes:
        document = outcome.document
        status = document["status"]
        confidence = document.get("quality", {}).get("confidence")
        cost = document.get("cost", {}).get("total", {}).get("usd")
        outcome_table.add_row(
            Text(escaped(outcome.sample)),
            Text(escaped(document.get("kind") or "")),
            Text(escaped(status), COLOURS.get(status, "red")),
            Text(escaped(outcome.summary())),
            f"{confidence:.2f}" if confidence is not None else "",
            f"{latency(document):.2f} s" if "timing" in document else "",
            f"${cost:.7f}" if cost is not None else "",
        )
    return outcome_table


def latency(document: dict[str, Any]) -> float:
    """Seconds from the arrival of the event to the finished document."""
    timing = document["timing"]
    began, ended = (datetime.fromisoformat(timing[key]) for key in ("received_at", "finished_at"))
    return (ended - began).total_seconds()
