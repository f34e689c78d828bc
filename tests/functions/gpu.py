"""A stand-in for the GPU service's work on a batch; its labels identify their texts."""

import io
import json
from collections import Counter
from typing import Any

from pipeline.tabular import writer
from tests.functions.cloud import Cloud

MODEL = {"name": "sentiment", "version": "1", "task": "text-classification", "source": "starter", "revision": "abc"}
LABELS = ["NEGATIVE", 'so, "so"', "label"]
DEFAULTS = {"top_k": 5, "high_confidence": 0.7}
EMPTY = {"code": "empty", "message": "The text is empty."}


def judge(instance: Any) -> dict[str, Any]:
    """A prediction, or an error in its place."""
    if isinstance(instance, dict) and "error" in instance:
        return {"error": instance["error"]}
    if isinstance(instance, dict) and isinstance(instance.get("image"), dict):
        return {"label": "an image", "score": 0.75}
    content = instance.get("text", instance.get("uri")) if isinstance(instance, dict) else None
    if not isinstance(content, str):
        return {"error": {"code": "invalid_instance", "message": "It is none."}}
    return {"label": content, "score": 0.75} if content.strip() else {"error": EMPTY}


def predict(cloud: Cloud, batch: dict[str, Any], *shards: int) -> None:
    """Writes the outputs of the given shards, by default of all."""
    for shard in shards or range(batch["shards"]):
        _predict(cloud, batch, shard)


def _predict(cloud: Cloud, batch: dict[str, Any], shard: int) -> None:
    name = batch["prefix"].removeprefix(f"gs://{cloud.work.name}/") + str(shard)
    records = [json.loads(line) for line in cloud.work.blob(f"{name}.jsonl").download_as_bytes().splitlines()]
    text = io.StringIO()
    failed: Counter[str] = Counter()
    reasons: list[dict[str, Any]] = []
    for index, record in enumerate(records, shard * batch["records_per_shard"]):
        outcome = judge(record)
        code = outcome.get("error", {}).get("code", "")
        failed.update([code] if code else [])
        reasons += [{"index": index, **outcome["error"]}] if code else []
        if batch["format"] == "csv":
            cells = [*record["row"], outcome.get("label", ""), outcome.get("score", ""), code, ""]
            if batch["parameters"].get("score_columns"):
                cells += ["" if code else index for index in range(len(LABELS))]
            text.write(writer.line(cells, writer.Dialect(**batch["dialect"])))
        else:
            beside = {key: record[key] for key in ("id", "uri") if isinstance(record, dict) and key in record}
            text.write(json.dumps({"index": index, **beside, **outcome}) + "\n")
    summary = {
        "records": len(records),
        "failed": failed,
        "reasons": reasons[:3],
        "truncated": 1,
        "high_confidence": 2,
        "requires_review": 0,
        "parameters": DEFAULTS | batch["parameters"],
        "model": MODEL,
        "device": "cuda:0",
        "gpu_seconds": 0.01,
        "inference_ms": 5.0,
        "revision": "gpu-1",
    }
    if batch["parameters"].get("score_columns"):
        cloud.work.blob(f"{batch['prefix'].split('/', 3)[3]}labels.json").upload_from_string(json.dumps(LABELS))
    output = cloud.work.blob(f"{name}.out.{batch['format']}")
    output.metadata = {"shard-summary": json.dumps(summary)}
    output.upload_from_string(text.getvalue())
