"""The emulator's debug API (docs/emulator.md): deliveries, bodies of calls and service logs, on the laptop alone."""

from typing import Any

import requests

from event_inference import Target, UnreachableError

_TIMEOUT_S = 10
SERVICES = ("on-upload", "on-message", "preprocess", "gpu-service", "forecast", "postprocess", "on-dead-letter")
"""The services whose logs may mention a job, in the order of an input's way."""

_LINES = 60  # of each service


class Emulator:
    """A client of the debug API.

    Raises, from all methods:
        UnreachableError: the emulator does not answer, or refuses.
    """

    def __init__(self, target: Target) -> None:
        self._base = f"{target.storage}/emulator/v1"

    def stack(self) -> dict[str, Any]:
        return self._get("stack")

    def deliveries(self, limit: int, *, failed_only: bool = False, contains: str = "") -> dict[str, Any]:
        """The newest attempts, their totals, and the backlogs."""
        return self._get("deliveries", limit=limit, contains=contains, failed="true" if failed_only else "")

    def calls(self, execution: str) -> list[dict[str, Any]]:
        """The HTTP calls of an execution, by its resource name, with both bodies."""
        calls: list[dict[str, Any]] = self._get("calls", execution=execution)["calls"]
        return calls

    def logs(self, *words: str) -> list[tuple[str, list[dict[str, Any]]]]:
        """The log lines that contain one of the words, by service; services without such lines are left out."""
        found = ((name, self._get(f"logs/{name}", contains=list(words), limit=_LINES)["lines"]) for name in SERVICES)
        return [(name, lines) for name, lines in found if lines]

    def _get(self, path: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer = requests.get(f"{self._base}/{path}", params=parameters, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            value: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise UnreachableError(f"The emulator's debug API does not answer: {error}") from error
        return value
