"""Ray Serve with @serve.batch: one replica, a queue long enough for every client of the benchmark."""

# mypy: disable-error-code="import-not-found,untyped-decorator,no-any-return,attr-defined"

import os
import signal

import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request

from benchmarks.serving.servers.classifier import MAX_BATCH, Classifier, Prediction, batch_wait_ms, port

QUIET = LoggingConfig(enable_access_log=False)


@serve.deployment(logging_config=QUIET, max_ongoing_requests=1024, ray_actor_options={"num_cpus": 1})
class Service:
    def __init__(self) -> None:
        self.classify = Classifier()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=batch_wait_ms() / 1000)
    async def batch(self, texts: list[str]) -> list[Prediction]:
        return self.classify(texts)

    async def __call__(self, request: Request) -> Prediction:
        return await self.batch((await request.json())["text"])


if __name__ == "__main__":
    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port(), "request_timeout_s": 120}, logging_config=QUIET)
    serve.run(Service.bind(), route_prefix="/predict")
    signal.pause()
