"""A deployment of the pipeline: its settings and its buckets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import storage
from pipeline.settings import Settings

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


@dataclass(frozen=True, slots=True)
class Deployment:
    """What each main.py loads once; the first use of a bucket imports the storage client, and makes no request."""

    settings: Settings

    @property
    def input(self) -> "Bucket":
        return storage.bucket(self.settings.input_bucket)

    @property
    def work(self) -> "Bucket":
        return storage.bucket(self.settings.work_bucket)

    @property
    def output(self) -> "Bucket":
        return storage.bucket(self.settings.output_bucket)
