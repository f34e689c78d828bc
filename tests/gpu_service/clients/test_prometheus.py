"""Prometheus' own parser reads the metrics, with and without compression."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_metrics(served: Any, coding: str):
    for path in ("/predict", "/v1/models/moods:predict"):
        assert served.http.post(path, json={"instances": ["good", ""]}).status_code == 200
    served.http.get('/v2/models/no"bo\\dy%0A{}')
    answer = served.http.get("/metrics", headers={"accept-encoding": coding})
    assert answer.headers.get("content-encoding", "identity") == coding
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["gpu_service_requests"].type == "counter"
    assert families["gpu_service_batch_seconds"].type == "histogram"
    routes = {sample.labels["route"] for sample in families["gpu_service_requests"].samples if sample.labels}
    assert {"/predict", "/v1/models/{name}:predict", "/v2/models/{name}"} <= routes
