"""Recognises the language of a text; the library and its model load when a rule first asks."""

import functools
from typing import TYPE_CHECKING

from pipeline.routing.routes import LANGUAGES

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MAX_CHARACTERS = 4096  # more of a text would not change the answer
MIN_PROBABILITY = 0.3  # below, a text is too short or a mixture


def language(text: str) -> str | None:
    """The language of a text; None if none is likely."""
    code, probability = _identifier().classify(text[:MAX_CHARACTERS])
    return code if probability >= MIN_PROBABILITY and code in LANGUAGES else None


@functools.cache
def _identifier() -> "LanguageIdentifier":
    from py3langid import langid

    identifier: LanguageIdentifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    return identifier
