"""The document of recommendations that is written daily, `recommendations/<date>.json` of the output bucket."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from event_inference.cost.amounts import monthly_bill
from event_inference.cost.bill import Band, cents
from event_inference.cost.measured import measure
from event_inference.cost.prices import Prices
from event_inference.cost.recommendations import Measured, Recommendation, missing, recommend, unmeasured
from event_inference.cost.scenario import COLLECTED, PATIENT_ORDERS, Settings

FOLDER = "recommendations/"
SCHEMA = "recommendations/v1"
SHORTEST = timedelta(hours=1)  # by which the rate of a young deployment is measured
MICRO_BATCHES = 60.0  # seconds between two collections


def document(
    documents: Iterable[Mapping[str, Any]],
    *,
    since: datetime,
    until: datetime,
    share: float,
    settings: Settings,
    job_threshold: int,
    prices: Prices,
) -> dict[str, Any]:
    """What would be worth changing at the traffic of a period.

    Args:
        documents: terminal documents of the period, or a random sample of them.
        share: the part of all documents that they are.
        job_threshold: records above which a batch runs as the job.
    """
    found = measure(documents, (until - since).total_seconds() * share)
    settings = replace(settings, batch_by="job" if found.batch_records > job_threshold else "service")
    traffic = found.traffic
    if found.together > 0.5 and not settings.max_wait:  # as with micro_batching
        settings = replace(settings, max_wait=MICRO_BATCHES, collect_by="service")
        traffic = replace(traffic, per_collected=COLLECTED, orders=PATIENT_ORDERS)
    measured = Measured(traffic, settings, found.seen)
    month = monthly_bill(traffic, settings, prices)
    return {
        "schema": SCHEMA,
        "date": until.date().isoformat(),
        "measured": {
            "since": since.isoformat(timespec="seconds"),
            "until": until.isoformat(timespec="seconds"),
            "documents": found.seen,
            "share": share,
            "inputs_per_month": round(traffic.inputs),
            "batches_per_month": round(traffic.batches),
            "device_seconds_per_input": round(traffic.gpu_base + traffic.gpu_each, 6),
        },
        "settings": asdict(settings),
        "bill": {
            "usd": _usd(month.usd),
            "band": in_cents(month.band),
            "lines": {line.resource: _usd(line.usd) for line in month.lines},
        },
        "recommendations": [described(each) for each in recommend(measured, prices)],
        "not_considered": unmeasured(measured),
        "missing": missing(measured),
    }


def described(recommendation: Recommendation) -> dict[str, Any]:
    """A recommendation as JSON; a time is null if inputs arrive faster than they can be answered."""
    before, after = (seconds if math.isfinite(seconds) else None for seconds in recommendation.p95)
    return {
        "name": recommendation.name,
        "reason": recommendation.reason,
        "action": recommendation.action,
        "saves_usd_per_month": _usd(recommendation.saves_usd),
        "saves_band": in_cents(recommendation.saves),
        "is_certain": recommendation.is_certain,
        "effect": recommendation.effect,
        "p95_seconds": {"before": before, "after": after},
        "lines": {
            resource: {"before": _usd(pair[0]), "after": _usd(pair[1])}
            for resource, pair in recommendation.lines.items()
        },
    }


def in_cents(band: Band) -> dict[str, Any]:
    """Both bounds in USD, and why they differ."""
    return {"low": _usd(band.low), "high": _usd(band.high), "reasons": list(band.reasons)}


def _usd(amount: Decimal) -> float:
    return float(cents(amount))
