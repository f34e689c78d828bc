"""A deployment of the pipeline: its settings and its buckets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import storage
from pipeline.settings import Settings

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


@dataclass(frozen=True, slots=True)
class Deployment:
    """The settings, and handles on their buckets; the first use of a bucket imports the storage client."""

    settings: Settings

    @property
    def input(self) -> "Bucket":
        return storage.bucket(self.settings.input_bucket)

    @property
    def work(self) -> "Bucket":
        return storage.bucket(self.settings.work_bucket)

    @property
    def models(self) -> "Bucket":
        return storage.bucket(self.settings.models_bucket)

    @property
    def output(self) -> "Bucket":
        return storage.bucket(self.settings.output_bucket)
