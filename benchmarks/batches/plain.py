"""The plainest peer: a process with transformers' pipeline and batches of 32, CSV in and out.

python plain.py MODEL INPUT.csv OUTPUT.csv
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from transformers import pipeline

BATCH = 32


def main(model: str, source: str, target: str) -> None:
    classify = pipeline("text-classification", model=model, tokenizer=model)
    with Path(source).open(newline="") as rows, Path(target).open("w", newline="") as out:
        reader, writer = csv.reader(rows), csv.writer(out)
        writer.writerow([*next(reader), "label", "score"])
        kept = []

        def texts() -> Iterator[str]:
            for row in reader:
                kept.append(row)
                yield row[1]

        for index, answer in enumerate(classify(texts(), batch_size=BATCH, truncation=True)):  # type: ignore[arg-type]
            writer.writerow([*kept[index], answer["label"], answer["score"]])


if __name__ == "__main__":
    main(*sys.argv[1:])
