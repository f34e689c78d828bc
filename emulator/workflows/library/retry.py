"""`retry` and the retry policies of `http`."""

from typing import Any

from emulator.workflows.library.builtin import declare

_IDEMPOTENT_CODES = frozenset({429, 502, 503, 504})
_NON_IDEMPOTENT_CODES = frozenset({429, 503})
_IDEMPOTENT_TAGS = frozenset({"ConnectionError", "ConnectionFailedError", "TimeoutError"})
_NON_IDEMPOTENT_TAGS = frozenset({"ConnectionFailedError"})


def _matches(error: Any, codes: frozenset[int], tags: frozenset[str]) -> bool:
    if type(error) is not dict:
        return False
    code, error_tags = error.get("code"), error.get("tags")
    if type(code) is int and code in codes:
        return True
    return type(error_tags) is list and any(type(tag) is str and tag in tags for tag in error_tags)


def idempotent(e: Any) -> bool:
    """429, 502, 503, 504, lost connections and timeouts."""
    return _matches(e, _IDEMPOTENT_CODES, _IDEMPOTENT_TAGS)


def non_idempotent(e: Any) -> bool:
    """429, 503, and connections that could not be established."""
    return _matches(e, _NON_IDEMPOTENT_CODES, _NON_IDEMPOTENT_TAGS)


def always(e: Any) -> bool:  # noqa: ARG001 - a predicate's signature
    return True


def never(e: Any) -> bool:  # noqa: ARG001 - a predicate's signature
    return False


FUNCTIONS = [
    *declare("http", {"default_retry_predicate": idempotent, "default_retry_predicate_non_idempotent": non_idempotent}),
    *declare("retry", {"always": always, "never": never}),
]
PREDICATES = {function.name: function.value() for function in FUNCTIONS}
DEFAULT_BACKOFF: dict[str, Any] = {"initial_delay": 1, "max_delay": 60, "multiplier": 1.25}
DEFAULT_RETRIES = 5


def _policy(predicate: str) -> dict[str, Any]:
    return {"predicate": PREDICATES[predicate], "max_retries": DEFAULT_RETRIES, "backoff": DEFAULT_BACKOFF}


OBJECTS: dict[str, Any] = {
    **PREDICATES,
    "retry.default_backoff": DEFAULT_BACKOFF,
    "http.default_retry": _policy("http.default_retry_predicate"),
    "http.default_retry_non_idempotent": _policy("http.default_retry_predicate_non_idempotent"),
}
