"""An interval for the difference of accuracies that stays valid whenever one looks at it, for people to read."""

import math
from collections.abc import Iterator, Sequence

from event_inference.promotion.evidence import Pairs, Split

TUNED_FOR = 1000  # labels at which the interval is narrowest
FEWEST = 50  # labels of the candidate's answers


def difference(pairs: Pairs, mistakes: Sequence[Split], alpha: float) -> tuple[float, float] | None:
    """The candidate's accuracy less the stable version's: lower and upper bound; None below 50 labels of the candidate.

    An asymptotic confidence sequence (Waudby-Smith et al., arXiv 2103.06476): with a probability of about 1 - alpha it
    covers the true difference at all times. Decisions rest on e-values alone, which are exact.
    """
    values = list(_values(pairs, mistakes))
    count = sum(times for _, times in values)
    if pairs.labels + sum(split.candidate for split in mistakes) < FEWEST:
        return None
    mean = sum(value * times for value, times in values) / count
    variance = sum(value * value * times for value, times in values) / count - mean * mean
    rho_squared = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / TUNED_FOR
    scaled = count * rho_squared + 1
    width = math.sqrt(
        max(variance, 0.0) * 2 * scaled / (count * count * rho_squared) * math.log(math.sqrt(scaled) / alpha)
    )
    return max(mean - width, -1.0), min(mean + width, 1.0)


def _values(pairs: Pairs, mistakes: Sequence[Split]) -> Iterator[tuple[float, int]]:
    """Estimates of the difference by single labels, and how often each occurs; their mean is the difference.

    A label of a split is weighted by the inverse of its version's share, and compared with all labels' accuracy, which
    changes no mean and narrows the interval.
    """
    yield from ((1.0, pairs.win), (-1.0, pairs.loss), (0.0, pairs.same))
    labels = sum(split.inputs for split in mistakes)
    wrong = sum(split.candidate_yes + split.stable_yes for split in mistakes)
    accuracy = 1 - wrong / labels if labels else 0.0
    for split in mistakes:
        yield (0 - accuracy) / split.share, split.candidate_yes
        yield (1 - accuracy) / split.share, split.candidate_no
        yield -(0 - accuracy) / (1 - split.share), split.stable_yes
        yield -(1 - accuracy) / (1 - split.share), split.stable_no
