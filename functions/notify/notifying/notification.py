"""What receivers are told of a document: a thin body, and an id that stays the same however often it is sent."""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, Self

from pipeline.errors import MalformedError
from pipeline.inputs.events import Message
from pipeline.jobs.outcomes import FOLDERS
from pipeline.storage import JOB, KIND, STATUS

ID = re.compile(r"[0-9a-f]{32}\.[0-9]{1,20}")
MAX_DATA = 128 << 10  # characters of base64


@dataclass(frozen=True, slots=True)
class Notification:
    """One document's notification; `name` is the document's, without folder and ending, for filters."""

    id: str
    job: str
    status: str
    kind: str
    name: str
    body: str

    @property
    def type(self) -> str:
        return f"document.{self.status}"

    @classmethod
    def of_document(cls, message: Message, output_bucket: str) -> Self | None:
        """Reads Cloud Storage's notification of a new object; None if that is not a terminal document.

        All that is told comes with the event, so that a document that has been replaced or deleted meanwhile is
        reported as well.

        Raises:
            MalformedError: the message describes no object of the output bucket.
        """
        resource = content(message)
        if resource.get("bucket") != output_bucket:
            raise MalformedError("The message does not describe an object of the output bucket.")
        metadata = resource.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        name = str(resource.get("name"))
        folder, _, document = name.partition("/")
        job, status, generation = metadata.get(JOB, ""), metadata.get(STATUS, ""), str(resource.get("generation"))
        if (status, folder) not in FOLDERS.items() or not document.endswith(".json"):
            return None
        if not ID.fullmatch(f"{job}.{generation}"):
            return None
        body = {
            "type": f"document.{status}",
            "timestamp": str(resource.get("timeCreated")),
            "data": {
                "job": job,
                "status": status,
                "kind": metadata.get(KIND),
                "document": f"gs://{output_bucket}/{name}",
                "generation": generation,
            },
        }
        return cls(
            id=f"{job}.{generation}",
            job=job,
            status=status,
            kind=metadata.get(KIND, ""),
            name=document.removesuffix(".json"),
            body=json.dumps(body, ensure_ascii=False),
        )

    @classmethod
    def parse(cls, id: Any, body: Any) -> Self:
        """Reads what `fields` returned.

        Raises:
            MalformedError: it is something else.
        """
        try:
            told = json.loads(body)
            data = told["data"]
            if not ID.fullmatch(id) or told["type"] != f"document.{data['status']}":
                raise MalformedError("The message is not a notification.")
            _, _, name = str(data["document"]).removeprefix("gs://").split("/", 2)
            return cls(id, data["job"], data["status"], data["kind"] or "", name.removesuffix(".json"), body)
        except (ValueError, TypeError, LookupError) as error:
            raise MalformedError("The message is not a notification.") from error

    def fields(self) -> dict[str, str]:
        return {"id": self.id, "body": self.body}


def content(message: Message) -> dict[str, Any]:
    """The message's data, a JSON object.

    Raises:
        MalformedError: it is something else.
    """
    if len(str(message.data)) > MAX_DATA:
        raise MalformedError("The message is too large.")
    try:
        value = json.loads(base64.b64decode(str(message.data or ""), validate=True))
    except (ValueError, RecursionError) as error:
        raise MalformedError("The message is not JSON.") from error
    if not isinstance(value, dict):
        raise MalformedError("The message is not a JSON object.")
    return value
