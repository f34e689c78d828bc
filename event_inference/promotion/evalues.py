"""E-values: evidence against a hypothesis that stays valid whenever one looks at it.

If the hypothesis holds, an e-value ever exceeds 1/alpha with a probability of at most alpha (Ville's inequality). So a
decision may be tried after every input, and stopped at any time. All functions return the natural logarithm.

The paired test bets on disagreements (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting", arXiv 2010.09686). The split test bets on which version served an input, given what happened to it: whatever
happens to both versions alike, such as an outage, is no evidence.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product

from event_inference.promotion.evidence import Pairs, Split

STAKES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.95)

Rates = tuple[float, float]
"""Of the stable version and of the candidate."""

FAILING: tuple[Rates, ...] = tuple(
    (rate, min(rate * factor, 0.999))
    for rate, factor in product((0.0005, 0.002, 0.01, 0.05, 0.2), (1.5, 3, 10, 40, 400))
)
"""Alternatives for errors: the candidate has more of them, by a little up to nearly always."""

MISTAKEN: tuple[Rates, ...] = tuple(
    (rate * less, rate) for rate, less in product((0.02, 0.05, 0.1, 0.2, 0.35, 0.5), (0.95, 0.85, 0.7, 0.4))
)
"""Alternatives for accuracy: the stable version makes a part of the candidate's mistakes."""

SLOWER: tuple[Rates, ...] = tuple((0.05, rate) for rate in (0.07, 0.1, 0.15, 0.25, 0.4, 0.7, 0.95))
"""Alternatives for slow predictions, which are 5 % of the stable version's by definition."""


@lru_cache(maxsize=1 << 16)
def better(pairs: Pairs, margin: float = 0.0) -> float:
    """Against "the candidate's accuracy is not above the stable version's less `margin`"."""
    bets = [stake for stake in STAKES if stake * (1 - margin) < 1]
    return _log_mean(
        pairs.win * math.log1p(stake * (1 + margin))
        + pairs.loss * math.log1p(-stake * (1 - margin))
        + pairs.same * math.log1p(stake * margin)
        for stake in bets
    )


def worse(pairs: Pairs) -> float:
    """Against "the candidate's accuracy is not below the stable version's"."""
    return better(Pairs(win=pairs.loss, loss=pairs.win, same=pairs.same))


def more(splits: Sequence[Split], alternatives: Sequence[Rates]) -> float:
    """Against "it does not happen more often with the candidate"; the share may differ between splits."""
    if not splits:
        return 0.0
    return _log_mean(sum(_split(split, rates) for split in splits) for rates in alternatives)


def less(splits: Sequence[Split], alternatives: Sequence[Rates]) -> float:
    """Against "it does not happen less often with the candidate"; takes the alternatives of `more`, roles swapped."""
    return more(splits, [(candidate, stable) for stable, candidate in alternatives])


def over(budget: float, yes: int, no: int) -> float:
    """Against "it happens to at most `budget` of the candidate's inputs"; an outage of both versions counts too."""
    rates = [budget + (1 - budget) * part for part in (0.01, 0.05, 0.2, 0.5, 0.9)]
    return _log_mean(yes * math.log(rate / budget) + no * math.log((1 - rate) / (1 - budget)) for rate in rates)


@lru_cache(maxsize=1 << 16)
def _split(split: Split, rates: Rates) -> float:
    stable, candidate = rates
    share = split.share
    happened = share * candidate + (1 - share) * stable
    yes = (candidate / happened, stable / happened)  # how much likelier each version is, given that it happened
    no = ((1 - candidate) / (1 - happened), (1 - stable) / (1 - happened))
    return (
        split.candidate_yes * math.log(yes[0])
        + split.stable_yes * math.log(yes[1])
        + split.candidate_no * math.log(no[0])
        + split.stable_no * math.log(no[1])
    )


def _log_mean(logs: Iterable[float]) -> float:
    values = list(logs)
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values) / len(values))
