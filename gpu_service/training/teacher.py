"""Soft labels: the confidence of a linear model of word pairs, trained without the phrase's sentence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from gpu_service.training import sst2


def soft_labels(examples: list[sst2.Example], folds: int = 5) -> NDArray[np.float64]:
    """Probability of positive for each example; all phrases of a sentence are in the same fold."""
    words = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True)  # noqa: S106  no password
    model = make_pipeline(words, LogisticRegression(C=10, max_iter=300))
    answers: NDArray[np.float64] = cross_val_predict(
        model,
        [example.text for example in examples],
        [example.label for example in examples],
        groups=sst2.sentence_of(examples),
        cv=GroupKFold(folds),
        method="predict_proba",
    )
    return answers[:, 1]
