"""`einf models`: the models that are served."""

from typing import Any

from event_inference.cli import output
from event_inference.cli.session import Session, command

_EXAMPLES = """
$ einf models
name       version  task                  default  device  source
sentiment  1        text-classification   yes      cpu     models/sentiment
digits     1        image-classification  yes      cpu     models/digits
"""


@command(examples=_EXAMPLES)
def models(session: Session, as_json: bool) -> None:
    """List the models that are served.

    On the laptop the GPU service says it; of a cloud it is models.json in the models bucket.
    """
    served: list[dict[str, Any]] = session.client().models()
    if as_json:
        for model in served:
            output.print_json(model)
        return
    rows = [
        (
            model["name"],
            model.get("version"),
            model.get("task"),
            "yes" if model.get("default") else "",
            model.get("device"),
            model.get("source"),
        )
        for model in served
    ]
    output.table(rows, "name", "version", "task", "default", "device", "source")
