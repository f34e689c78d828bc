"""Text classifiers answer as through transformers' pipeline, or are refused in a sentence that says what to do."""

from pathlib import Path

import pytest

from tests.gpu_service.parity.cases import Case
from tests.gpu_service.parity.texts import CASES, outcome

FAST = (
    "BERT, vocabulary files only",
    "BERT, do_lower_case only in the settings",
    "BERT, keys gamma and beta",
    "BERT, regression, one value",
    "BERT, a stray file of weights",
    "BERT, a masked language model",
    "BERT, no id2label, three labels",
    "BERT, code of its own",
    "DistilBERT, as saved",
    "DistilBERT, pytorch_model.bin",
    "DistilBERT, pytorch_model.bin with code",
    "RoBERTa, add_prefix_space only in the settings",
    "RoBERTa, truncation_side left",
    "XLM-RoBERTa, no model_max_length",
    "MPNet, no model_max_length",
    "MobileBERT, as saved",
    "XLNet, as saved",
    "Llama, as saved",
    "ELECTRA, an encoder alone",
)


def test_the_fast_cases_exist():
    assert set(FAST) <= {case.name for case in CASES}
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in FAST], ids=lambda case: case.name)
def test_a_checkpoint_answers_as_transformers_or_is_refused(case: Case, tmp_path: Path):
    found = outcome(case, tmp_path)
    assert case.fits(found), found


@pytest.mark.long
@pytest.mark.parametrize("case", [case for case in CASES if case.name not in FAST], ids=lambda case: case.name)
def test_every_other_checkpoint_does_too(case: Case, tmp_path: Path):
    found = outcome(case, tmp_path)
    assert case.fits(found), found
