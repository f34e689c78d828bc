"""Makes a profile's models ready while the image is built: python -m gpu_service.bake --profile hub.

It downloads them, writes the tokenizer.json that a folder lacks, and lets every model answer once on the CPU.
"""

import io
import sys

import msgspec

from gpu_service import settings
from gpu_service.checkpoints import checkpoint, device, registry
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import InferenceFailed, ServiceError, StartError
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.texts import tokenizer
from gpu_service.inputs.texts.tokens import TextInputs
from gpu_service.parameters import Parameters
from gpu_service.serving.model import Model
from gpu_service.tasks.predictions import Prediction

TEXT = "A made-up text, which every model can read."
PARAMETERS = Parameters(labels=["fact", "fiction"])  # those that a task may require
IMAGE_SIZE = (320, 240)


def main() -> None:
    """Exits with one sentence when a model is not available or does not answer."""
    options = settings.read(sys.argv[1:])
    try:
        for entry in registry.load(options.models, options.profile).entries:
            if entry.source.startswith("gs://"):
                print(f"{entry.name} {entry.version}: downloaded from {entry.source} when the service starts")
                continue
            snapshot = checkpoint.find(entry, options.models)
            prediction = answer(snapshot)
            print(
                f"{entry.name} {entry.version}: {snapshot.folder}, revision {snapshot.revision}, "
                f"answers {msgspec.json.encode(prediction).decode():.100}"
            )
    except ServiceError as error:
        sys.exit(f"cannot bake: {error.message}")


def answer(snapshot: Checkpoint) -> Prediction:
    """Completes the folder, and predicts on a made-up instance.

    Raises:
        StartError: the model cannot be loaded, or does not answer.
    """
    model = Model(snapshot, device.choose("cpu"))
    if isinstance(model.inputs, TextInputs) and tokenizer.complete(model.inputs.checkpoint):
        model = Model(snapshot, device.choose("cpu"))  # as it will be served
    try:
        prediction = _predict(model)
    except InferenceFailed as error:
        raise StartError(f"The model {model.key} ({snapshot.folder}) does not answer with a number.") from error
    except Exception as error:  # a model may fail in any way
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise StartError(f"The model {model.key} ({snapshot.folder}) does not answer: {reason}") from error
    return prediction


def _predict(model: Model) -> Prediction:
    (payload,) = model.task.payloads([_instance(model.inputs.kind)], [PARAMETERS])
    if isinstance(payload, ServiceError):
        raise payload
    parts = payload.parts or [payload]
    rows = model.launch([part.data for part in parts], [PARAMETERS] * len(parts)).rows()
    if not all(map(model.task.is_finite, rows)):
        raise InferenceFailed("The scores are not numbers.")
    return model.task.predict(rows, payload, PARAMETERS)


def _instance(kind: Kind) -> str | bytes:
    if kind == "text":
        return TEXT
    from PIL import Image

    encoded = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize(IMAGE_SIZE).save(encoded, "PNG")
    return encoded.getvalue()


if __name__ == "__main__":
    main()
