"""Every object detector finds what transformers' pipeline finds, or is refused in one sentence."""

from pathlib import Path

import pytest

from tests.gpu_service.parity.cases import Case
from tests.gpu_service.parity.detectors import CASES, outcome


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_checkpoint_finds_the_objects_of_transformers_or_is_refused(case: Case, tmp_path: Path):
    assert case.fits(found := outcome(case, tmp_path)), found
