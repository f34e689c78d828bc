"""The models bucket of the functions, with models.json and traffic.json."""

import json
from typing import Any

from google.cloud import storage

TEXT, IMAGE = "text-classification", "image-classification"


class ModelsBucket:
    def __init__(self, bucket: storage.Bucket) -> None:
        self.bucket = bucket

    def write(self, name: str, content: Any) -> None:
        self.bucket.blob(name).upload_from_string(content if isinstance(content, str) else json.dumps(content))

    def models(self, *entries: dict[str, Any], routes: list[dict[str, Any]] | None = None) -> None:
        self.write("models.json", {"served": entries, "routes": routes or []})

    def traffic(self, **models: dict[str, Any]) -> None:
        self.write("traffic.json", models)


def entry(name: str, version: str = "1", task: str = TEXT, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "task": task, "source": f"{name}-{version}", **more}


def split(share: float, **more: Any) -> dict[str, Any]:
    return {"stable": "1", "candidate": "2", "share": share, "mode": "split", "experiment": "e1", **more}
