"""Uses the storage client as published examples do: three requests, like postprocess."""

import os
import uuid
from typing import Any

import flask
import functions_framework
from google.cloud import storage

WORK = storage.Client().bucket(os.environ["WORK_BUCKET"])


@functions_framework.http
def beside(_: flask.Request) -> dict[str, Any]:
    blob = WORK.blob(uuid.uuid4().hex)
    blob.upload_from_string("{}", if_generation_match=0)
    blob.download_as_bytes()
    blob.upload_from_string("{}", if_generation_match=blob.generation)
    return {}
