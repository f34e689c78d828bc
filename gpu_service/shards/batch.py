"""A batch as its index.json describes it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gpu_service.shards.shard import Dialect, Format, Shard

Count = Annotated[int, Meta(ge=0)]


class RequestedModel(msgspec.Struct):
    name: str
    version: str | int | None = None


class Batch(msgspec.Struct):
    """`prefix` is the gs:// URI that the names of its shards begin with."""

    prefix: str
    shards: Count
    records: Count
    records_per_shard: Count
    format: Format = "jsonl"
    model: RequestedModel | None = None
    parameters: dict[str, Any] | None = None
    dialect: Dialect | None = None

    def shard(self, number: int) -> Shard:
        stem = f"{self.prefix}{number}"
        offset = number * self.records_per_shard
        output, labels = f"{stem}.out.{self.format}", f"{self.prefix}labels.json"
        return Shard(f"{stem}.jsonl", output, offset, self.format, labels, self.dialect)
