"""Text classifiers answer as through transformers' pipeline, or are refused in a sentence that says what to do."""

from pathlib import Path

import pytest

from tests.gpu_service.parity.cases import Case
from tests.gpu_service.parity.texts import CASES, UNLIMITED, outcome

SETTINGS = ("only in the settings", "truncation_side left", "no model_max_length", "do_lower_case", "in Python")
FAST = {  # every variant of one family, every architecture, and what only some of them have
    case.name
    for case in CASES
    if case.architecture == "DistilBERT" or case.variant == "as saved" or case.variant.endswith(SETTINGS)
} - {f"{architecture}, no model_max_length" for architecture in UNLIMITED}  # which take long


def test_the_cases_have_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.architecture for case in CASES}) >= 15


@pytest.mark.parametrize("case", [case for case in CASES if case.name in FAST], ids=lambda case: case.name)
def test_a_checkpoint_answers_as_transformers_or_is_refused(case: Case, tmp_path: Path):
    found = outcome(case, tmp_path)
    assert case.fits(found), found


@pytest.mark.release
@pytest.mark.parametrize("case", [case for case in CASES if case.name not in FAST], ids=lambda case: case.name)
def test_every_other_checkpoint_does_too(case: Case, tmp_path: Path):
    found = outcome(case, tmp_path)
    assert case.fits(found), found
