"""Orders to replay: which failed documents, and how a large order splits into several that run concurrently."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline import times
from pipeline.errors import RejectedError
from pipeline.jobs.documents import Document

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

FIELDS = ("prefix", "code", "since", "until", "limit", "after", "before", "partial")
PART = 5000  # documents of an order that others run beside; one message replays them
MAX_PARTS = 40  # published by one message, after some 200 listings

Publish = Callable[[dict[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Replay:
    """The failed documents to replay: by name after failed/, the error's code, and the time of writing (RFC 3339).

    `limit` is how many to start at most, None for all. `after` and `before` are the first name and the one that ends
    the range, also after failed/. `partial` selects results that lack some shards instead, by name after results/.
    """

    prefix: str = ""
    code: str = ""
    since: str = ""
    until: str = ""
    limit: int | None = 1000
    after: str = ""
    before: str = ""
    partial: bool = False

    @property
    def folder(self) -> str:
        return "results/" if self.partial else "failed/"

    @property
    def is_large(self) -> bool:
        """Whether to split it. A limit is split only where every document counts, so that it is kept exactly."""
        is_choosy = bool(self.code or self.since or self.until or self.partial)
        return self.limit is None or (self.limit > PART and not is_choosy)

    def message(self) -> dict[str, Any]:
        return {"replay": {key: value for key, value in asdict(self).items() if value or key == "limit"}}

    def names(self, output: "Bucket", fields: str | None = None) -> Iterator[Any]:
        """The objects of the documents in the order's range."""
        listed = output.list_blobs(
            prefix=f"{self.folder}{self.prefix}",
            start_offset=f"{self.folder}{self.after}" if self.after else None,
            end_offset=f"{self.folder}{self.before}" if self.before else None,
            fields=fields,
        )
        return (blob for blob in listed if blob.name.endswith(".json"))

    def matches(self, content: Document) -> bool:
        errors = content.get("data", {}).get("lost", []) if self.partial else [content["error"]]
        if not errors or (self.code and self.code not in {error["code"] for error in errors}):
            return False
        finished = times.parse(content["timing"]["finished_at"])
        return (not self.since or finished >= times.parse(self.since)) and (
            not self.until or finished <= times.parse(self.until)
        )


def parse(value: Any) -> Replay:
    """Checks `{"prefix"?, "code"?, "since"?, "until"?, "limit"?, "after"?, "before"?, "partial"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict) or value.keys() - set(FIELDS):
        raise RejectedError(
            "invalid_parameters", f"replay must be an object without fields other than {', '.join(FIELDS)}."
        )
    order = Replay(**value)
    for name in FIELDS:
        if name not in ("limit", "partial") and not isinstance(getattr(order, name), str):
            raise RejectedError("invalid_parameters", f"replay.{name} must be a string.")
    if type(order.partial) is not bool:
        raise RejectedError("invalid_parameters", "replay.partial must be true or false.")
    if order.limit is not None and (type(order.limit) is not int or order.limit < 1):
        raise RejectedError("invalid_parameters", "replay.limit must be a whole number, 1 or more, or null for all.")
    for name in ("since", "until"):
        text = getattr(order, name)
        try:
            times.parse(text) if text else None
        except ValueError as error:
            raise RejectedError(
                "invalid_parameters", f"replay.{name} must be a time such as 2026-01-31T12:00:00Z."
            ) from error
    return order


def split(output: "Bucket", order: Replay, publish: Publish) -> tuple[int, Replay | None]:
    """Publishes an order for each part of a large one's documents; repeated, it publishes the same ones.

    Returns:
        How many orders were published, and the order for what is left: the given one if a single part is all.
    """
    prefix = len(order.folder)
    names = (blob.name[prefix:] for blob in order.names(output, "items(name),nextPageToken"))
    left, published = order.limit, 0
    first = next(names, None)
    while first is not None and left != 0:
        size = PART if left is None else min(PART, left)
        count = 1 + sum(1 for _ in islice(names, size - 1))
        following = next(names, None)
        if following is None and not published:
            return 0, order
        publish(replace(order, after=first, before=following or order.before, limit=count).message())
        published += 1
        left = None if left is None else left - count
        if published == MAX_PARTS and following is not None and left != 0:
            return published, replace(order, after=following, limit=left)
        first = following
    return published, None
