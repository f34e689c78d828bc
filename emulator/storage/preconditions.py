"""The if…Match preconditions of a request, checked in the transaction that acts on the object or bucket."""

from dataclasses import dataclass

from emulator.storage.errors import NotModifiedError, PreconditionError
from emulator.storage.resources import StoredObject, version_etag


@dataclass(frozen=True)
class Preconditions:
    """Preconditions on an object or bucket; generation 0 means that the object must not exist.

    `etags` and `not_etags` are the tags of the headers If-Match and If-None-Match.
    """

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None
    etags: frozenset[str] | None = None
    not_etags: frozenset[str] | None = None

    def check(self, stored: StoredObject | None) -> None:
        """Raise PreconditionError unless all hold for the object that a write replaces or changes."""
        generation = stored.generation if stored else 0
        metageneration = stored.metageneration if stored else 0
        self._check_equal(generation, metageneration, stored.etag if stored else None)
        if self._meets_not(generation, metageneration, stored.etag if stored else None):
            raise PreconditionError("If-None-Match")

    def check_read(self, stored: StoredObject) -> None:
        """Like `check`, but a failed "not" condition raises NotModifiedError: the reader already has the object."""
        self._check_equal(stored.generation, stored.metageneration, stored.etag)
        if self._meets_not(stored.generation, stored.metageneration, stored.etag):
            raise NotModifiedError(stored.etag)

    def check_bucket(self, metageneration: int, *, reading: bool = False) -> None:
        """Check the metageneration conditions against a bucket's metageneration."""
        tag = version_etag(metageneration)
        self._check_equal(0, metageneration, tag)
        if self._meets_not(-1, metageneration, tag):
            raise NotModifiedError(tag) if reading else PreconditionError("If-None-Match")

    def _check_equal(self, generation: int, metageneration: int, tag: str | None) -> None:
        if (
            (self.generation is not None and self.generation != generation)
            or (self.metageneration is not None and self.metageneration != metageneration)
            or (self.etags is not None and "*" not in self.etags and tag not in self.etags)
            or (self.etags is not None and tag is None)
        ):
            raise PreconditionError

    def _meets_not(self, generation: int, metageneration: int, tag: str | None) -> bool:
        return (
            self.not_generation == generation
            or self.not_metageneration == metageneration
            or (self.not_etags is not None and tag is not None and bool({"*", tag} & self.not_etags))
        )


ALWAYS = Preconditions()
