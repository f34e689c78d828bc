"""The table of kinds agrees with the schemas and the workflow, which repeat their names."""

import json

import pytest

from pipeline.kinds import BATCHED, KINDS, MICROBATCH, SINGLE
from tests.functions.conftest import SCHEMAS


@pytest.mark.parametrize("name", ["result", "rejected", "failed"])
def test_a_document_s_kind_is_one_of_the_table(name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    files_of_labels = set() if name == "result" else {"labels"}  # whose result has a schema of its own
    assert set(schema["properties"]["kind"]["enum"]) - {None} == set(KINDS) | files_of_labels


def test_no_kind_is_both_single_and_batched() -> None:
    assert not SINGLE & BATCHED
    assert MICROBATCH not in KINDS
