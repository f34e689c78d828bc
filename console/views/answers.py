"""What a document says, for people: scores, answers, why this model, what its candidate says, progress of a batch."""

from typing import Any

from console.web import wording
from event_inference import Batch, Document

_MOST_ANSWERS = 50


def scores(document: Document | None) -> list[tuple[str, float]]:
    """The scores of a single answer, the highest first."""
    predictions = document.content.get("predictions") or [] if document else []
    scores = predictions[0].get("scores") if len(predictions) == 1 else None
    if isinstance(scores, list):
        scores = {entry["label"]: entry["score"] for entry in scores if "label" in entry and "score" in entry}
    if not isinstance(scores, dict):
        return []
    return sorted(scores.items(), key=lambda entry: -entry[1])[:10]


def answers(document: Document | None) -> list[tuple[str, str, float | None]]:
    """What a single input's predictions say beside scores of labels: a word or a place, what it is, and how surely."""
    found: list[tuple[str, str, float | None]] = []
    predictions = document.content.get("predictions") or [] if document else []
    for prediction in predictions:
        for entity in prediction.get("entities", []):
            found.append(
                (entity.get("word", ""), entity.get("entity_group") or entity.get("entity"), entity.get("score"))
            )
        for thing in prediction.get("objects", []):
            place = ", ".join(f"{name} {value}" for name, value in (thing.get("box") or {}).items())
            found.append((place, thing["label"], thing.get("score")))
        if "embedding" in prediction:
            found.append(("embedding", f"{len(prediction['embedding']):,} numbers", None))
        if "error" in prediction:
            found.append(("error", str(prediction["error"].get("message", "")), None))
        if "label" in prediction and len(predictions) > 1:
            found.append((f"instance {len(found) + 1}", prediction["label"], prediction.get("score")))
    return found[:_MOST_ANSWERS]


def batch_outcome(document: Document | None) -> str:
    """What came of a batch's records, in one sentence; empty for single inputs and forecasts."""
    data = (document.content.get("data") or {}) if document and document.kind != "timeseries" else {}
    if not data.get("records"):
        return ""
    count, failed, doubtful = (int(data.get(name) or 0) for name in ("records", "failed", "requires_review"))
    answered = f"{count - failed:,} of {count:,}" if failed else f"all {count:,}" if count > 1 else "the only"
    text = f"The model answered {answered} record{'s' if count > 1 else ''}"
    if doubtful:
        text += f"; of {doubtful:,} the model is so unsure that a person should look"
    return f"{text}."


def routing_sentence(routing: dict[str, Any]) -> str:
    """Why this version of the model answered; empty for the default one."""
    text = {"requested": "The sender asked for this model.", "rule": f"The rule {routing.get('rule')} chose it."}
    sentence = text.get(routing.get("chosen_by", ""), "")
    experiment = routing.get("experiment")
    if isinstance(experiment, dict):
        arm, share = experiment.get("arm"), wording.percent(experiment.get("share") or 0)
        sentence += (
            f" Its {arm} version answered, in the experiment {experiment.get('id')}, whose candidate gets {share} of "
            "the inputs."
        )
    return sentence.strip()


def shadow_sentence(shadow: Any, label: str | None) -> str:
    """What the candidate would have answered; empty if none was asked."""
    if not isinstance(shadow, dict):
        return ""
    if shadow.get("error"):
        return "The candidate was asked too, and failed."
    predictions = shadow.get("predictions") or [{}]
    other = predictions[0].get("label") if isinstance(predictions[0], dict) else None
    if other is None:
        return "The candidate was asked too."
    return f"The candidate says {other} too." if other == label else f"The candidate would have said {other}."


def batch_sentence(batch: Batch) -> str:
    """How far a batch is, in one sentence."""
    text = f"{batch.done:,} of {batch.total:,} records are done"
    if batch.failed:
        text += f", {batch.failed:,} of them failed"
    if batch.records_per_second:
        text += f", {batch.records_per_second:,.0f} a second"
    if batch.remaining_seconds:
        text += f"; about {wording.seconds(batch.remaining_seconds)} are left"
    return f"{text}."
