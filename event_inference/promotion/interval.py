"""An interval for the difference of accuracies that stays valid whenever one looks at it, for people to read."""

import math

from event_inference.promotion.evidence import Pairs

TUNED_FOR = 1000  # labels at which the interval is narrowest


def difference(pairs: Pairs, alpha: float) -> tuple[float, float] | None:
    """The candidate's accuracy less the stable version's: lower and upper bound; None below 50 labels.

    An asymptotic confidence sequence (Waudby-Smith et al., arXiv 2103.06476): with a probability of about 1 - alpha it
    covers the true difference at all times. Decisions rest on e-values alone, which are exact.
    """
    count = pairs.labels
    if count < 50:
        return None
    mean = (pairs.win - pairs.loss) / count
    variance = max((pairs.win + pairs.loss) / count - mean * mean, 0.0)
    rho_squared = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / TUNED_FOR
    scaled = count * rho_squared + 1
    width = math.sqrt(variance * 2 * scaled / (count * count * rho_squared) * math.log(math.sqrt(scaled) / alpha))
    return max(mean - width, -1.0), min(mean + width, 1.0)
