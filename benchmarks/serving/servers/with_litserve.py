"""LitServe with its dynamic batching; `BATCH_WAIT_MS=0` batches what has queued up, without waiting for more."""

# mypy: disable-error-code="import-not-found,misc"

import litserve

from benchmarks.serving.servers.classifier import MAX_BATCH, Classifier, Prediction, batch_wait_ms, port


class Service(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002 (LitServe's signature)
        self.classify = Classifier()

    def decode_request(self, request: dict[str, str]) -> str:
        return request["text"]

    def predict(self, texts: list[str]) -> list[Prediction]:
        return self.classify(texts)


if __name__ == "__main__":
    service = Service(max_batch_size=MAX_BATCH, batch_timeout=batch_wait_ms() / 1000)
    server = litserve.LitServer(service, accelerator="cpu", workers_per_device=1, timeout=120)
    server.run(host="127.0.0.1", port=port(), log_level="warning", generate_client_file=False)
