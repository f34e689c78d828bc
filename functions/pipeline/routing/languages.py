"""Recognises the language of a text; the library and its model load when a rule first asks."""

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

CODES = (
    "ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr fuv "
    "fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko ku ky la "
    "lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se "
    "si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu"
)
LANGUAGES = CODES.split()
"""Those that are recognised, by ISO 639 code."""

MAX_CHARACTERS = 4096  # more of a text would not change the answer
MIN_PROBABILITY = 0.3  # below, a text is too short or a mixture


def language(text: str) -> str | None:
    """The language of a text; None if none is likely."""
    code, probability = _identifier().classify(text[:MAX_CHARACTERS])
    return code if probability >= MIN_PROBABILITY and code in LANGUAGES else None


@functools.cache
def _identifier() -> "LanguageIdentifier":
    from py3langid import langid

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
