"""Deploy-time checks beyond structure."""

from __future__ import annotations

from .errors import Problem
from .program import Program


def validate(program: Program) -> list[Problem]:
    return []
