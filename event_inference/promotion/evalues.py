"""E-values: evidence against a hypothesis that stays valid whenever one looks at it.

If the hypothesis holds, an e-value ever exceeds 1/alpha with a probability of at most alpha (Ville's inequality). So a
decision may be tried after every input, and stopped at any time. All functions return the natural logarithm.

The paired test bets on disagreements (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting", arXiv 2010.09686). The tests of splits bet on which version served an input, given what happened to it: what
happens to both versions alike, such as an outage, is no evidence. Those that can roll a candidate back bet only on
inputs to which it happened, so that those under way cannot count against the version that is slower.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from operator import mul

from event_inference.promotion.evidence import Pairs, Split

STAKES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.95)

RATIOS = (1.1, 1.25, 1.5, 2.0, 3.0, 6.0, 15.0, 100.0, 1000.0)
"""Alternatives: how many times as often something happens with the candidate."""

UNEVEN = (0.25, 0.5, 0.75, 0.9, 1.1, 1.4, 2.0, 4.0)
"""Alternatives: how many times as many inputs the candidate serves, for each of the stable version's, as intended."""

Rates = tuple[float, float]
"""Of the stable version and of the candidate."""

MISTAKEN: tuple[Rates, ...] = tuple(
    (rate, rate * less) for rate, less in product((0.02, 0.05, 0.1, 0.2, 0.35, 0.5), (0.95, 0.85, 0.7, 0.4))
)
"""Alternatives for accuracy: the candidate makes a part of the stable version's mistakes."""


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


def more(splits: Sequence[Split]) -> float:
    """Against "it does not happen more often with the candidate"; the share may differ between splits."""
    return _ratio([(split.share, split.candidate_yes, split.stable_yes) for split in splits], RATIOS)


def uneven(splits: Sequence[Split]) -> float:
    """Against "the candidate serves its share of the inputs": then some are missing, and the rest may be chosen."""
    return _ratio([(split.share, split.candidate, split.inputs - split.candidate) for split in splits], UNEVEN)


def less(splits: Sequence[Split], alternatives: tuple[Rates, ...] = MISTAKEN) -> float:
    """Against "it does not happen less often with the candidate"; the share may differ between splits."""
    if not splits:
        return 0.0
    return _log_mean(map(sum, zip(*(_split(split, alternatives) for split in splits), strict=True)))


def over(budget: float, yes: int, no: int) -> float:
    """Against "it happens to at most `budget` of the candidate's inputs"; an outage of both versions counts too."""
    rates = [budget + (1 - budget) * part for part in (0.01, 0.05, 0.2, 0.5, 0.9)]
    return _log_mean(yes * math.log(rate / budget) + no * math.log((1 - rate) / (1 - budget)) for rate in rates)


def _ratio(counted: Sequence[tuple[float, int, int]], ratios: tuple[float, ...]) -> float:
    """Against a candidate's part as its share says, for the alternatives of ratios.

    Args:
        counted: by share, how many are the candidate's and how many the stable version's.
    """
    candidate = sum(each[1] for each in counted)
    logs = [candidate * gain for gain in _logarithms(ratios)]
    for share, of_candidate, of_stable in counted:
        if count := of_candidate + of_stable:
            logs = [log - count * loss for log, loss in zip(logs, losses(share, ratios), strict=True)]
    return _log_mean(logs)


@lru_cache
def _logarithms(ratios: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(map(math.log, ratios))


@lru_cache
def losses(share: float, ratios: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(math.log1p(share * (ratio - 1)) for ratio in ratios)


@lru_cache(maxsize=1 << 16)
def _split(split: Split, alternatives: tuple[Rates, ...]) -> tuple[float, ...]:
    """The logarithm of each bet's gain."""
    counts = split.candidate_yes, split.stable_yes, split.candidate_no, split.stable_no
    return tuple(sum(map(mul, counts, bet)) for bet in gains(split.share, alternatives))


@lru_cache
def gains(share: float, alternatives: tuple[Rates, ...]) -> tuple[tuple[float, ...], ...]:
    """Of each bet, the logarithms of how much likelier each version is, given that it happened and that it did not."""
    bets = []
    for stable, candidate in alternatives:
        happened = share * candidate + (1 - share) * stable
        yes = candidate / happened, stable / happened
        no = (1 - candidate) / (1 - happened), (1 - stable) / (1 - happened)
        bets.append(tuple(map(math.log, (*yes, *no))))
    return tuple(bets)


def _log_mean(logs: Iterable[float]) -> float:
    values = list(logs)
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values) / len(values))
