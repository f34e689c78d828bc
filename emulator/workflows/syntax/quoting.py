"""Diagnoses expressions with an unquoted ': ', which YAML reads as the key and value of a map."""


def quoting_fix(line: str) -> str | None:
    """The value of a line in single quotes, when it is an unquoted expression with ': ' inside, else None."""
    start = line.find("${")
    if start < 0 or line[start - 1 : start] in ("'", '"'):
        return None
    expression = line[start:].rstrip()
    if ": " not in expression and not expression.endswith(":"):
        return None
    return single_quoted(expression)


def single_quoted(text: str) -> str:
    """The text as a YAML scalar in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def unquoted_colon(line: int, fix: str) -> str:
    """The message for such an expression."""
    return (
        f"line {line} has an expression with an unquoted ': ', which YAML reads as a map; "
        f"put the whole value in single quotes: {fix}"
    )
