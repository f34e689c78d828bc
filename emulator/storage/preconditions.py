"""The if…Match preconditions of a request, checked in the transaction that acts on the object or bucket."""

from dataclasses import dataclass
from datetime import datetime

from emulator.storage.errors import NotModifiedError, PreconditionError
from emulator.storage.resources import StoredObject, moment, version_etag


@dataclass(frozen=True)
class Preconditions:
    """Preconditions on an object or bucket; generation 0 means that the object must not exist.

    `etags` and `not_etags` are the tags of the headers If-Match and If-None-Match; `unmodified_since` and
    `modified_since`, which only reads have, count in their absence.
    """

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None
    etags: frozenset[str] | None = None
    not_etags: frozenset[str] | None = None
    unmodified_since: datetime | None = None
    modified_since: datetime | None = None

    def check(self, stored: StoredObject | None) -> None:
        """Raise PreconditionError unless all hold for the object that a write replaces or changes."""
        generation = stored.generation if stored else 0
        metageneration = stored.metageneration if stored else 0
        tags = _tags(stored) if stored else frozenset()
        self._check_equal(generation, metageneration, tags)
        if self._meets_not(generation, metageneration, tags):
            raise PreconditionError("If-None-Match")

    def check_read(self, stored: StoredObject) -> None:
        """Like `check`, but a failed "not" condition raises NotModifiedError: the reader already has the object."""
        self._check_equal(stored.generation, stored.metageneration, _tags(stored))
        updated = moment(stored.fields["updated"]).replace(microsecond=0)  # as in Last-Modified
        if self.etags is None and self.unmodified_since and updated > self.unmodified_since:
            raise PreconditionError("If-Unmodified-Since")
        unchanged = self.not_etags is None and self.modified_since is not None and updated <= self.modified_since
        if unchanged or self._meets_not(stored.generation, stored.metageneration, _tags(stored)):
            raise NotModifiedError(stored.etag)

    def check_bucket(self, metageneration: int, *, reading: bool = False) -> None:
        """Check the metageneration conditions against a bucket's metageneration."""
        tag = version_etag(metageneration)
        self._check_equal(0, metageneration, frozenset({tag}))
        if self._meets_not(-1, metageneration, frozenset({tag})):
            raise NotModifiedError(tag) if reading else PreconditionError("If-None-Match")

    def _check_equal(self, generation: int, metageneration: int, tags: frozenset[str]) -> None:
        if (
            (self.generation is not None and self.generation != generation)
            or (self.metageneration is not None and self.metageneration != metageneration)
            or not _matches(self.etags, tags, otherwise=True)
        ):
            raise PreconditionError

    def _meets_not(self, generation: int, metageneration: int, tags: frozenset[str]) -> bool:
        return (
            self.not_generation == generation
            or self.not_metageneration == metageneration
            or _matches(self.not_etags, tags, otherwise=False)
        )


def _matches(requested: frozenset[str] | None, tags: frozenset[str], *, otherwise: bool) -> bool:
    """Whether a header names one of an object's tags; `otherwise` without the header. `*` stands for any object."""
    if requested is None:
        return otherwise
    return bool(tags) and ("*" in requested or not requested.isdisjoint(tags))


def _tags(stored: StoredObject) -> frozenset[str]:
    """An object's entity tags, of the JSON API and of the XML API."""
    return frozenset({stored.etag, stored.content_etag})


ALWAYS = Preconditions()
