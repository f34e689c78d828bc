"""What Google's documentation leaves open, decided here in one place.

Decisions that are behaviour rather than a number:

- Undefined order: maps keep the order in which keys were added; JSON text has its keys sorted.
- Integers that overflow 64 bits raise ValueError instead of wrapping around; `//` and `%` floor, as in Python.
- YAML follows the 1.2 core schema: `yes`, `on`, dates and `12:30:45` are strings; `<<` merges.
- After a matched `switch` entry without a `next` of its own, the `next` of the switch step applies.
- A variable that was declared but not assigned on the path taken is null: Google's samples test for that.
- `raise` takes any value, as Google's samples do; only strings and maps are conventional.
- A loop's own variables live for the whole loop, not for one iteration.
- A range whose end lies before its start has no elements.
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
- A JSON response that is no JSON is a string; a response without a content type is bytes, or null when empty.
- A connector that exists at Google and is not emulated deploys, and raises SystemError when it is called.
"""

# A double without a fraction is written without a point, as JSON numbers are: `string(2.0)` gives `2`.
INTEGRAL_DOUBLE_KEEPS_POINT = False
EXPONENT_FROM = 1e16

# Seconds that an http.* call may take when it has no `timeout`.
HTTP_DEFAULT_TIMEOUT_S = 300.0

# Redirects are followed this many times at most.
HTTP_REDIRECTS = 10

# A response header that comes several times becomes one string, joined with this.
HEADER_SEPARATOR = ", "

# An empty JSON response body is null.
EMPTY_JSON_BODY = None

# `sys.get_env` of an unset name without a default raises KeyError: a misspelt name fails early.
GET_ENV_MISSING_RAISES = True

# A `retry` map without `max_retries` retries as often as http.default_retry does.
RETRIES_WHEN_MISSING = 5

# Size against the memory limit: UTF-8 bytes of strings and keys, this much per number, boolean or null.
NUMBER_BYTES = 8
FLAG_BYTES = 1

# Connectors repeat a request this often, with `retry.default_backoff`, when http.default_retry's predicates say so.
CONNECTOR_RETRIES = 5

# Seconds before the first look at a child execution started by `executions.run`; grows by 1.25.
CHILD_POLL_S = 0.2
