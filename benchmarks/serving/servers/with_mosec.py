"""mosec with its dynamic batching; `--port`, `--timeout` and `--capacity` are mosec's own arguments."""

# mypy: disable-error-code="import-not-found,misc"

from mosec import Server, Worker

from benchmarks.serving.servers.classifier import MAX_BATCH, Classifier, Prediction, batch_wait_ms


class Service(Worker):
    def __init__(self) -> None:
        self.classify = Classifier()

    def forward(self, data: list[dict[str, str]]) -> list[Prediction]:
        return self.classify([each["text"] for each in data])


if __name__ == "__main__":
    server = Server()
    server.append_worker(Service, num=1, max_batch_size=MAX_BATCH, max_wait_time=int(batch_wait_ms()), route="/predict")
    server.run()
