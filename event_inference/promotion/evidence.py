"""What is known of a candidate beside the stable version: counts, to be added in any order, enough to decide again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pairs:
    """Labelled inputs that both versions predicted: the candidate alone was right, the stable version alone, or neither
    alone.
    """

    win: int = 0
    loss: int = 0
    same: int = 0

    @property
    def labels(self) -> int:
        return self.win + self.loss + self.same

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(self.win + other.win, self.loss + other.loss, self.same + other.same)


@dataclass(frozen=True, slots=True)
class Split:
    """Inputs by the version that served them and by whether something happened, such as an error, at one share.

    `share` is the part of the inputs that the candidate served, between 0 and 1; another share is another split.
    """

    share: float
    candidate_yes: int = 0
    candidate_no: int = 0
    stable_yes: int = 0
    stable_no: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"A split has a share between 0 and 1, not {self.share}.")

    @property
    def candidate(self) -> int:
        return self.candidate_yes + self.candidate_no

    @property
    def inputs(self) -> int:
        return self.candidate + self.stable_yes + self.stable_no


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was counted for a candidate. A field with splits has one for each share.

    Args:
        pairs: for accuracy, where both versions predict the same inputs (shadow).
        mistakes: whether a prediction contradicts its label, where each input has one version.
        errors: whether an input failed by a fault of the service, as its sender sees it.
        refusals: whether an execution rejected the input.
        slow: whether a prediction took longer than a limit that was fixed beforehand.
        corrections: whether a user corrected the answer.
        unserved: inputs of the candidate that the stable version answered, because the candidate is not served.
        failing, slowing: in shadow, whether only the stable version (win) or only the candidate (loss) failed, or
            was slow.
    """

    pairs: Pairs = Pairs()
    mistakes: tuple[Split, ...] = ()
    errors: tuple[Split, ...] = ()
    refusals: tuple[Split, ...] = ()
    slow: tuple[Split, ...] = ()
    corrections: tuple[Split, ...] = ()
    unserved: int = 0
    failing: Pairs = Pairs()
    slowing: Pairs = Pairs()

    @property
    def labels(self) -> int:
        """Labels of the candidate's answers."""
        return self.pairs.labels + sum(split.candidate for split in self.mistakes)

    def served(self, share: float | None = None) -> int:
        """The inputs that the candidate served, at one share or at any."""
        return sum(split.candidate for split in self.errors if share is None or split.share == share)
