"""BentoML with its adaptive batching; started with `bentoml serve benchmarks.serving.servers.with_bentoml:Service`."""

# mypy: disable-error-code="import-not-found,untyped-decorator"

import bentoml

from benchmarks.serving.servers.classifier import MAX_BATCH, Classifier, Prediction


@bentoml.service(workers=1, traffic={"timeout": 120}, logging={"access": {"enabled": False}})
class Service:
    def __init__(self) -> None:
        self.classify = Classifier()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=60_000)
    def predict(self, texts: list[str]) -> list[Prediction]:
        return self.classify(texts)
