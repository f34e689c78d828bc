"""The cloud for a measured function: the emulator with buckets and a workflow, without services."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from emulator.process import Stack

BUCKETS = {"INPUT_BUCKET": "local-input", "WORK_BUCKET": "local-work", "OUTPUT_BUCKET": "local-output"}
WORKFLOW = "main: {params: [job], steps: [{answer: {return: null}}]}"


@contextmanager
def cloud(folder: Path) -> Iterator[dict[str, str]]:
    """Runs the emulator and yields the environment variables that lead a function to it."""
    (folder / "workflow.yaml").write_text(WORKFLOW)
    description = {
        "project": "local-project",
        "root": str(folder),
        "buckets": {name: {} for name in BUCKETS.values()},
        "workflows": {"inference": {"source": "workflow.yaml"}},
    }
    (folder / "stack.yaml").write_text(yaml.safe_dump(description))
    with Stack(folder / "data", stack=folder / "stack.yaml") as stack:
        stack.start()
        yield {
            **BUCKETS,
            "GOOGLE_CLOUD_PROJECT": "local-project",
            "STORAGE_EMULATOR_HOST": stack.http,
            "PUBSUB_EMULATOR_HOST": stack.grpc,
            "WORKFLOWS_EMULATOR_HOST": stack.grpc,
            "WORKFLOW": "projects/local-project/locations/us-central1/workflows/inference",
        }
