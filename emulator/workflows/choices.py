"""What Google's documentation leaves open, decided here in one place; each choice is listed in the docs."""

# A double without a fraction is written without a point, as JSON numbers are: `string(2.0)` gives `2`.
INTEGRAL_DOUBLE_KEEPS_POINT = False
EXPONENT_FROM = 1e16

# Seconds that an http.* call may take when it has no `timeout`.
HTTP_DEFAULT_TIMEOUT_S = 300.0

# Redirects are followed, as browsers do, this many times at most.
HTTP_REDIRECTS = 10

# `sys.get_env` of an unset name without a default raises KeyError: a misspelt name fails early.
GET_ENV_MISSING_RAISES = True

# After a matched `switch` entry without its own `next`, the `next` of the switch step applies.
SWITCH_NEXT_AFTER_MATCH = True

# Retries wait exactly min(max_delay, initial_delay * multiplier^n): no jitter, so that tests can tell.
RETRY_JITTER = 0.0

# A 64-bit integer that overflows raises ValueError instead of wrapping around.
INTEGER_OVERFLOW_RAISES = True

# A `ResourceLimitError` that the workflow itself raises is a map like any other and can be caught.
RAISED_LIMIT_ERROR_IS_CAUGHT = True

# YAML 1.2 core schema: `yes`, `no`, `on`, `off` and dates are strings.
YAML_SCHEMA = "1.2 core"

# Size of a value against the memory limit: UTF-8 bytes of strings, 8 per number, 1 per boolean or null.
NUMBER_BYTES = 8
FLAG_BYTES = 1

# A response header that comes several times becomes one string, joined with this.
HEADER_SEPARATOR = ", "

# An empty JSON response body is null.
EMPTY_JSON_BODY = None

# Seconds to wait for a branch of a cancelled execution are none: branches are cancelled with it.
BRANCHES_CANCEL_TOGETHER = True

# Connectors repeat a failed idempotent request this often, with `retry.default_backoff`.
CONNECTOR_RETRIES = 5

# A `retry` map without `max_retries` retries as often as http.default_retry does.
RETRIES_WHEN_MISSING = 5

# Seconds before the first look at a child execution started by `executions.run`; grows by 1.25.
CHILD_POLL_S = 0.2
