"""Every image classifier is served as transformers' own processor and model would, or refused in one sentence."""

from pathlib import Path

import pytest

from tests.gpu_service.parity import images
from tests.gpu_service.parity.cases import Case


@pytest.mark.parametrize("case", images.CASES, ids=lambda case: case.name)
def test_a_checkpoint_is_served_as_by_transformers_or_refused(case: Case, tmp_path: Path):
    assert case.fits(outcome := images.outcome(case, tmp_path)), outcome


@pytest.mark.release
@pytest.mark.parametrize("case", [case for case in images.CASES if not case.is_refused], ids=lambda case: case.name)
def test_images_of_every_size_and_format_score_as_by_transformers(case: Case, tmp_path: Path):
    assert case.fits(outcome := images.outcome(case, tmp_path, images.many())), outcome
