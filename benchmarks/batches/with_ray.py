"""Ray Data's batch inference: an actor per core, each with the pipeline and one thread, CSV in and out.

python with_ray.py MODEL INPUT.csv OUTPUT-FOLDER
"""

import os
import sys
from typing import Any

import ray
import torch
from transformers import pipeline

BATCH = 256
ACTOR_CPUS = 0.5  # whole cores would leave none for reading and writing


class Predictor:
    def __init__(self, model: str) -> None:
        torch.set_num_threads(1)
        self.classify = pipeline("text-classification", model=model, tokenizer=model)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        answers = self.classify(list(batch["review"]), batch_size=32, truncation=True)
        return {**batch, "label": [a["label"] for a in answers], "score": [a["score"] for a in answers]}


def main(model: str, source: str, target: str) -> None:
    cores = os.cpu_count() or 1
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    rows = ray.data.read_csv(source, override_num_blocks=4 * cores)
    predicted = rows.map_batches(
        Predictor, fn_constructor_args=(model,), batch_size=BATCH, num_cpus=ACTOR_CPUS, concurrency=cores
    )
    predicted.write_csv(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
