"""What this emulator assumes where Google's documentation leaves the behaviour open.

Assumptions that are not a constant below:

- Maps keep the order in which keys were added; JSON text has its keys sorted.
- Integers that overflow 64 bits raise ValueError instead of wrapping around; `//` and `%` floor, as in Python.
- YAML follows the 1.2 core schema: `yes`, `on`, dates and `12:30:45` are strings; `<<` merges.
- After a matched `switch` entry without a `next`, the `next` of the switch step applies.
- A variable that was declared but not assigned on the path taken is null: Google's samples test for that.
- `raise` takes any value, as Google's samples do; only strings and maps are conventional.
- The variables of a loop live for the whole loop, not for one iteration.
- A range whose end is before its start has no elements.
- Retries wait exactly min(max_delay, initial_delay * multiplier^n): no jitter. A `retry` without a predicate
  retries every error.
- A `ResourceLimitError` that the workflow raises itself is a map like any other and can be caught.
- The context of a raised map with a `message` begins with that message, of any other value with
  `RuntimeError: ` and its JSON; raising a caught error again counts as raised there.
- Tags follow Python's hierarchy: IndexError, like KeyError, also has LookupError; ZeroDivisionError has
  ArithmeticError; ConnectionError and ConnectionFailedError, like TimeoutError, have OSError; RecursionError,
  ParallelNestingError and UnhandledBranchError have RuntimeError.
- Unknown and missing arguments of subworkflows are refused at deployment, like those of the library.
- A variable in `shared` may get its first value in a branch; it then belongs to the scope of the parallel step.
- Regular expressions match leftmost-longest everywhere, as documented for `text.replace_all_regex`.
- A response with a JSON content type but an invalid body is a string; a response without
  a content type is bytes, or null when empty.
- A connector that exists at Google but is not emulated deploys, and raises SystemError when it is called.
"""

# A double without a fraction is written without a point, as JSON numbers are: `string(2.0)` gives `2`.
INTEGRAL_DOUBLE_KEEPS_POINT = False
EXPONENT_FROM = 1e16

# Seconds that an http.* call may take when it has no `timeout`.
HTTP_DEFAULT_TIMEOUT_S = 300.0

# The maximum number of redirects that are followed.
HTTP_REDIRECTS = 10

# The separator of the values of a response header that occurs several times.
HEADER_SEPARATOR = ", "

# An empty JSON response body is null.
EMPTY_JSON_BODY = None

# `sys.get_env` of an unset name without a default raises KeyError: a misspelt name fails early.
GET_ENV_MISSING_RAISES = True

# A `retry` map without `max_retries` retries as often as http.default_retry does.
RETRIES_WHEN_MISSING = 5

# What counts against the memory limit: the UTF-8 bytes of strings and keys, and this much per number or other value.
NUMBER_BYTES = 8
FLAG_BYTES = 1

# Retries of a connector's request, with `retry.default_backoff`, when http.default_retry's predicates return true.
CONNECTOR_RETRIES = 5

# Seconds before the first poll of a child execution started by `executions.run`; grows by the factor 1.25.
CHILD_POLL_S = 0.2
