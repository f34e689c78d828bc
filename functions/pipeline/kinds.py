"""The kinds of input: how large each may be, and how it is predicted on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """An input of a `single` kind is one instance, of a `batched` kind many; any other goes to a service of its own."""

    max_bytes: int
    single: bool = False
    batched: bool = False


KINDS = {
    "text": Kind(1 << 20, single=True),
    "image": Kind(32 << 20, single=True),
    "timeseries": Kind(32 << 20),
    "table": Kind(64 << 30, batched=True),
    "records": Kind(64 << 30, batched=True),
    "manifest": Kind(32 << 20, batched=True),
    "workbook": Kind(64 << 20),
}
WORKBOOK = "workbook"
"""An Excel workbook or a Parquet file until preprocess has read it; then it is a table or a timeseries."""

SINGLE = frozenset(name for name, kind in KINDS.items() if kind.single)
BATCHED = frozenset(name for name, kind in KINDS.items() if kind.batched)
MICROBATCH = "microbatch"
"""The kind of an execution that serves many jobs; no input has it."""
