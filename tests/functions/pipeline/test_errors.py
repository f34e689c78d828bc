"""The register of rejection codes agrees with the code that raises them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import REASONS

FUNCTIONS = Path(__file__).parents[3] / "functions"


def raised_codes() -> Iterator[tuple[str, str]]:
    for path in FUNCTIONS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "RejectedError":
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    yield str(code.value), f"{path.name}:{node.lineno}"


def test_every_code_that_is_raised_is_registered() -> None:
    codes = list(raised_codes())
    assert len(codes) > 30
    assert [(code, place) for code, place in codes if code not in REASONS] == []


def test_every_registered_code_is_explained_in_a_sentence() -> None:
    for code, sentence in REASONS.items():
        assert code.replace("_", "").isalnum(), code
        assert code == code.lower()
        assert sentence[0].isupper(), code
        assert sentence.endswith("."), code
