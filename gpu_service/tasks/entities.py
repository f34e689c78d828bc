"""Token classification: the entities in a text, grouped as transformers' pipeline groups them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import InstanceError
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.texts.tokens import LocatedTextInputs, checked
from gpu_service.networks import text as networks
from gpu_service.parameters import Parameters
from gpu_service.tasks.predictions import Entities, Entity
from gpu_service.tasks.task import Network, Task, check_head

PLACE_BYTES = 20  # of a token and its place in the text, for each byte of a token alone
OUTSIDE = "O"  # the label of tokens that belong to no entity


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is not special: its place among all tokens, and where it is in the text."""

    index: int
    word: str
    start: int
    end: int
    is_subword: bool


@dataclass(frozen=True, slots=True)
class Tagged:
    """A token or a word with its label."""

    label: str
    score: float
    word: str
    start: int
    end: int
    index: int = 0

    @property
    def tag(self) -> str:
        return self.label[2:] if self.label.startswith(("B-", "I-")) else self.label


class TokenClassification(Task):
    kind = "text"
    prediction = Entities
    inputs: "TokenInputs"

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        check_head(checkpoint, "ForTokenClassification")
        self.checkpoint = checkpoint
        self.labels = checkpoint.labels
        network = networks.network(checkpoint, device, networks.TAGGER)
        self.network: Network = network
        self.inputs = TokenInputs(checkpoint, network.max_length, network.vocabulary)

    def prepared_bytes(self, size: int, _: Parameters) -> int:
        return PLACE_BYTES * self.inputs.prepared_bytes(size)

    def samples(self, sizes: Sequence[int]) -> list[NDArray[Any]]:
        return [self.inputs.sample(size) for size in sizes]

    def scores(self, output: Tensor, data: Sequence[NDArray[Any]]) -> Tensor:
        """Probabilities of the labels: (tokens, labels)."""
        return output.float().softmax(-1)

    def rows(self, copied: Tensor, data: Sequence[NDArray[Any]]) -> list[Any]:
        return np.split(copied.numpy(), np.cumsum([len(tokens) for tokens in data])[:-1])

    def predict(self, rows: Sequence[Any], payload: Payload, parameters: Parameters) -> Entities:
        tokens: list[Token] = payload.context
        (scores,) = rows
        if parameters.aggregation == "none":
            entities = [
                Entity(tagged.score, tagged.word, tagged.start, tagged.end, entity=tagged.label, index=tagged.index)
                for tagged in self._tokens(tokens, scores)
                if tagged.label != OUTSIDE
            ]
            return Entities(entities, truncated=payload.truncated)
        of_words = parameters.aggregation != "simple"
        tagged = self._words(tokens, scores, parameters.aggregation) if of_words else self._tokens(tokens, scores)
        entities = [self._entity(group) for group in _groups(tagged)]
        return Entities([found for found in entities if found.entity_group != OUTSIDE], truncated=payload.truncated)

    def _tokens(self, tokens: Iterable[Token], scores: NDArray[np.float32]) -> Iterator[Tagged]:
        for token in tokens:
            yield self._tagged(scores[token.index], token.word, token, token)

    def _words(self, tokens: Iterable[Token], scores: NDArray[np.float32], strategy: str) -> Iterator[Tagged]:
        words: list[list[Token]] = []
        for token in tokens:
            if words and token.is_subword:
                words[-1].append(token)
            else:
                words.append([token])
        for word in words:
            of_tokens = scores[[token.index for token in word]]
            if strategy == "average":
                chosen = of_tokens.mean(0)
            else:
                chosen = of_tokens[0 if strategy == "first" else of_tokens.max(1).argmax()]
            yield self._tagged(chosen, self.inputs.joined([token.word for token in word]), word[0], word[-1])

    def _tagged(self, scores: NDArray[np.float32], word: str, first: Token, last: Token) -> Tagged:
        best = int(scores.argmax())
        label = self.labels[best] if best < len(self.labels) else f"LABEL_{best}"
        return Tagged(label, min(1.0, float(scores[best])), word, first.start, last.end, first.index)

    def _entity(self, group: list[Tagged]) -> Entity:
        score = min(1.0, sum(tagged.score for tagged in group) / len(group))
        word = self.inputs.joined([tagged.word for tagged in group])
        return Entity(score, word, group[0].start, group[-1].end, entity_group=group[0].label.split("-", 1)[-1])


class TokenInputs(LocatedTextInputs):
    """Reads texts, and keeps where each token is in its text."""

    def __init__(self, checkpoint: Checkpoint, max_length: int, vocabulary: int | None = None) -> None:
        super().__init__(checkpoint, max_length, vocabulary)
        self._has_prefix = bool(getattr(self.tokenizer.model, "continuing_subword_prefix", None))
        self._unknown = _unknown(checkpoint, self.tokenizer)

    def joined(self, words: list[str]) -> str:
        """Tokens, or words made of tokens, as text."""
        decoder = self.tokenizer.decoder
        return " ".join(words) if decoder is None else str(decoder.decode(words))

    def payload(self, text: object) -> Payload:
        text = checked(text)
        encoding = self.encoding(text)
        tokens = [
            self._token(text, index, encoding.ids[index], *encoding.offsets[index])
            for index, is_special in enumerate(encoding.special_tokens_mask)
            if not is_special
        ]
        return self.of_encoding(encoding, tokens)

    def payloads(self, values: Sequence[object]) -> list[Payload | InstanceError]:
        return [self._tried(value) for value in values]

    def _tried(self, text: object) -> Payload | InstanceError:
        try:
            return self.payload(text)
        except InstanceError as error:
            return error

    def _token(self, text: str, index: int, number: int, start: int, end: int) -> Token:
        """Without a prefix of subwords, a token that no space precedes continues a word."""
        word, part = self.tokenizer.id_to_token(number) or "", text[start:end]
        if number == self._unknown:
            return Token(index, part, start, end, is_subword=False)
        if self._has_prefix:
            return Token(index, word, start, end, len(word) != len(part))
        return Token(index, word, start, end, start > 0 and " " not in text[start - 1 : start + 1])


def _groups(tagged: Iterable[Tagged]) -> Iterator[list[Tagged]]:
    """Neighbours of the same tag; a label B-… begins another entity."""
    group: list[Tagged] = []
    for each in tagged:
        if group and (each.tag != group[-1].tag or each.label.startswith("B-")):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _unknown(checkpoint: Checkpoint, tokenizer: Tokenizer) -> int | None:
    """The id of the token for what the vocabulary lacks."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        token = checkpoint.read(name).get("unk_token")
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            return tokenizer.token_to_id(token)
    token = getattr(tokenizer.model, "unk_token", None)
    return tokenizer.token_to_id(token) if isinstance(token, str) else None
