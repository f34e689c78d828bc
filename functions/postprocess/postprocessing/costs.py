"""An estimate of what an input costs: the seconds of its device, and all around them at list prices.

The prices are without free amounts, the counts those of an execution in which nothing is repeated. Tests hold both to
`event_inference/cost/prices.yaml` and `workflow.yaml`.
"""

from dataclasses import dataclass
from typing import Any

from pipeline.jobs.documents import Cost, Document, TotalCost
from pipeline.kinds import SINGLE

STEP = 0.01e-3  # USD, as all that follow
WRITE = 0.005e-3  # a request of class A: writing, copying, listing
READ = 0.0004e-3  # a request of class B
CALL = 0.1 * (24e-6 + 2.5e-6) + 0.4e-6  # 0.1 s of a function with 1 vCPU and 1 GiB, and its request
DEARER_CALL = 0.1 * (33.6e-6 + 3.5e-6) + 0.4e-6  # where Cloud Run costs more
MESSAGES_AND_LOGS = 4096 * 40 / 2**40 + 8192 * 0.5 / 2**30  # 4 KiB and 8 KiB
CHEAPER = frozenset(("us-central1", "us-east4", "europe-west1", "europe-west4", "asia-south1"))  # regions of Cloud Run
DEARER = frozenset(("asia-south2", "asia-southeast1"))
SURCHARGE = 1.4  # of a dearer region at most, by the prices that are known in both


@dataclass(frozen=True, slots=True)
class Effort:
    """What an execution takes: steps of the workflow, calls of functions, requests to Cloud Storage."""

    steps: float
    calls: float
    writes: float
    reads: float

    def __mul__(self, times: float) -> "Effort":
        return Effort(self.steps * times, self.calls * times, self.writes * times, self.reads * times)

    def __add__(self, other: "Effort") -> "Effort":
        return Effort(
            self.steps + other.steps, self.calls + other.calls, self.writes + other.writes, self.reads + other.reads
        )


PREPARED = Effort(7, 2, 5, 2)
PREPROCESSED = Effort(29, 3, 5, 3)
PREPARED_ON_ENDPOINT = Effort(14, 2, 5, 2)
PREPROCESSED_ON_ENDPOINT = Effort(21, 3, 5, 3)
FORECAST = Effort(18, 3, 8, 4)
BATCH = Effort(27, 3, 14, 8)
SHARD = Effort(12, 0, 2, 3)
AS_JOB = Effort(62, 5, 14, 8)  # of a collected batch whose job has ended when it is looked at for the third time
MEMBER = Effort(0, 0, 5, 3)  # of a micro-batch, which its members share
WAIT = Effort(0, 1, 2, 2)  # of a member that was taken in by itself and waited
RUN = Effort(0, 0, 1, 0)  # of such members, whose claims name it


def single(*, is_prepared: bool, on_endpoint: bool = False) -> Effort:
    """Of a single input; `on_endpoint` of Vertex AI, whose own price is by the hour and not in here."""
    if on_endpoint:
        return PREPARED_ON_ENDPOINT if is_prepared else PREPROCESSED_ON_ENDPOINT
    return PREPARED if is_prepared else PREPROCESSED


def batch(shards: int) -> Effort:
    return BATCH + SHARD * shards


def member(shards: int, members: int, *, waited: bool = False, by_job: bool = False) -> Effort:
    own, shared = MEMBER, AS_JOB if by_job else batch(shards)
    if waited:
        own, shared = own + WAIT, shared + RUN
    return own + shared * (1 / members)


def estimate(effort: Effort, seconds: float, usd_per_second: float, region: str) -> Cost:
    """The cost of an input that kept a device busy for `seconds`.

    Args:
        usd_per_second: the price of a device in the cheaper regions. No source states that in the others, so the
            estimate is the lower end of a band there.
    """
    parts = {
        "device": seconds * usd_per_second,
        "workflow_steps": effort.steps * STEP,
        "functions": effort.calls * (DEARER_CALL if region in DEARER else CALL),
        "storage": effort.writes * WRITE + effort.reads * READ,
        "messages_and_logs": MESSAGES_AND_LOGS,
    }
    rounded = {name: round(usd, 12) for name, usd in parts.items()}
    total: TotalCost = {"usd": round(sum(parts.values()), 12), "parts": rounded}
    if region not in CHEAPER:
        more = parts["device"] * (SURCHARGE - 1)
        reasons = [
            f"no source states the price of a device in {region}, taken as 1 to {SURCHARGE} times that elsewhere"
        ]
        if region not in DEARER:
            more += effort.calls * (DEARER_CALL - CALL)
            reasons.append(f"no source states which of two prices functions have in {region}")
        total["band"] = {"low": total["usd"], "high": round(total["usd"] + more, 12), "reasons": reasons}
    return {"device": {"seconds": seconds, "usd": rounded["device"]}, "total": total}


def logged(document: Document) -> dict[str, Any]:
    """A document's status, model and cost for the log, by the names of `einf cost --measured`."""
    fields: dict[str, Any] = {"status": document["status"], "kind": document.get("kind")}
    cost: Cost | None = document.get("cost")
    if cost is None:
        return fields
    model = document.get("model") or {}
    steps = cost["total"]["parts"]["workflow_steps"]
    return {
        **fields,
        "model": model.get("name"),
        "version": model.get("version"),
        "inferences": _inferences(document),
        "gpu_seconds": cost["device"]["seconds"],
        "usd": cost["total"]["usd"],
        "batching_saves_usd": max(0.0, PREPARED.steps * STEP - steps) if document["kind"] in SINGLE else 0.0,
    }


def _inferences(document: Document) -> int:
    if "data" in document:
        succeeded: int = document["data"]["succeeded"]
        return succeeded
    return sum("error" not in prediction for prediction in document["predictions"])
