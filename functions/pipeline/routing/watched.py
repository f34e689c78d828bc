"""A file that is read once per process and again at most every 30 seconds; a broken one keeps the last good."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from google.api_core.exceptions import NotFound, NotModified

from pipeline import logs, storage

if TYPE_CHECKING:
    from google.cloud.storage import Blob

Value = TypeVar("Value")

PERIOD = 30.0  # seconds between two reads
WAIT = 5.0  # seconds that an input waits for one


class Watched(Generic[Value]):
    """The parsed content of an object, or of a local file.

    A read runs in a thread, beside the requests that an input's intake makes anyway, and fetches only what has changed.

    Args:
        location: a gs:// URI or a path.
        parse: reads the content; raises ValueError with all that is wrong.
        missing: the value if there is no such file, and as long as no good one was read.
    """

    def __init__(
        self,
        location: str,
        parse: Callable[[bytes], Value],
        missing: Value,
        clock: Callable[[], float] = time.monotonic,
        period: float | None = None,
    ) -> None:
        self._location, self._parse, self._missing, self._clock = location, parse, missing, clock
        self._period = PERIOD if period is None else period
        self._name, self._is_stored = location.rpartition("/")[2], location.startswith("gs://")
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._begun = 0.0
        self._generation: int | None = None
        self._value, self._mistake, self._problem = (
            missing,
            "",
            "",
        )  # a mistake is in the content, a problem in the last read

    def refresh(self) -> None:
        """Begins to read the file if that is due."""
        if self._is_stored:
            storage.client()  # so that no two threads import it at the same time
        with self._lock:
            if self._reader is None or (not self._reader.is_alive() and self._clock() - self._begun >= self._period):
                self._begun = self._clock()
                self._reader = threading.Thread(target=self._read, daemon=True)
                self._reader.start()

    def value(self) -> tuple[Value, str | None]:
        """The last good value, and what is wrong with a newer one."""
        self.refresh()
        assert self._reader is not None
        self._reader.join(WAIT)
        if self._reader.is_alive():
            return self._value, f"{self._name} could not be read within {WAIT:.0f} s."
        return self._value, self._problem or None

    def _read(self) -> None:
        try:
            content = self._changed()
            if content is not None:
                self._take(content)
            self._problem = self._mistake
        except (NotFound, FileNotFoundError):
            self._value, self._mistake, self._problem, self._generation = self._missing, "", "", None
        except Exception as error:  # noqa: BLE001 - a thread's boundary: whatever fails, the last good value goes on
            self._problem = f"{self._name} could not be read: {type(error).__name__}: {error}"
        if self._problem:
            file = f"{self._location}#{self._generation or 0}"
            logs.log(logging.ERROR, "the last good version goes on", file=file, reason=self._problem)

    def _take(self, content: bytes) -> None:
        try:
            self._value, self._mistake = self._parse(content), ""
        except Exception as error:  # noqa: BLE001 - whatever the content leads to, the last good value goes on
            self._mistake = f"{self._name} is not valid: {error}"

    def _changed(self) -> bytes | None:
        """The content; None if it is that of the last read."""
        if not self._is_stored:
            return self._changed_file(Path(self._location))
        from google.cloud.storage.retry import DEFAULT_RETRY

        bucket, _, name = self._location.removeprefix("gs://").partition("/")
        blob: Blob = storage.bucket(bucket).blob(name)
        retry = DEFAULT_RETRY.with_timeout(WAIT)
        try:
            content: bytes = blob.download_as_bytes(
                if_generation_not_match=self._generation, timeout=WAIT, retry=retry, raw_download=True
            )
        except NotModified:
            return None
        self._generation = blob.generation
        return content

    def _changed_file(self, path: Path) -> bytes | None:
        modified = path.stat().st_mtime_ns
        if modified == self._generation:
            return None
        self._generation = modified
        return path.read_bytes()
