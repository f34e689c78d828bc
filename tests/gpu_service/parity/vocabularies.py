"""Tiny tokenizers of each kind that published text classifiers have, trained on a few sentences."""

from functools import cache
from typing import Any

import transformers
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE, Unigram

MAX_LENGTH = 64
SENTENCES = [
    "a good film and a bright story with joy",
    "the film was not good, it was dull and long",
    "is this a bad story? no, a very good one!",
    "Été à Zürich: déjà vu, naïve façade",
    "Привет, мир 影画はとても良い 123 4567.89 %$#@",
    "don't can't it's http://example.com/a?b=c",
]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = [
    "a",
    "the",
    "film",
    "was",
    "is",
    "not",
    "good",
    "bad",
    "dull",
    "bright",
    "long",
    "story",
    "joy",
    "Good",
    "Film",
]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*BERT, *WORDS, *LETTERS, *LETTERS.upper(), *(f"##{letter}" for letter in LETTERS), *"éüà影画良,.!?123", "ü"]
WORD_PIECES = list(dict.fromkeys(PIECES))


def word_pieces(kind: Any = transformers.BertTokenizer, **options: Any) -> Any:
    return kind(vocab={piece: n for n, piece in enumerate(WORD_PIECES)}, **{"model_max_length": MAX_LENGTH, **options})


@cache
def byte_pairs(special: tuple[str, ...]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges over bytes, with the special tokens first."""
    made = Tokenizer(BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(SENTENCES * 3, trainer)
    return _parts(made)


def bytes_tokenizer(kind: Any, special: tuple[str, ...], **options: Any) -> Any:
    vocabulary, merges = byte_pairs(special)
    return kind(vocab=vocabulary, merges=merges, **{"model_max_length": MAX_LENGTH, **options})


@cache
def pieces(special: tuple[str, ...], unknown: str) -> list[tuple[str, float]]:
    """The pieces of a unigram model with their scores, the special tokens first."""
    made = Tokenizer(Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=list(special), unk_token=unknown, show_progress=False
    )
    made.train_from_iterator(SENTENCES * 3, trainer)
    import json

    return [(piece, score) for piece, score in json.loads(made.to_str())["model"]["vocab"]]


def sentence_pieces(kind: Any, special: tuple[str, ...], unknown: str = "<unk>", **options: Any) -> Any:
    return kind(vocab=pieces(special, unknown), **{"model_max_length": MAX_LENGTH, **options})


def _parts(made: Tokenizer) -> tuple[dict[str, int], list[tuple[str, str]]]:
    import json

    model = json.loads(made.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
TOKENIZERS: dict[str, Any] = {
    "bert": word_pieces,
    "distilbert": lambda: word_pieces(transformers.DistilBertTokenizer),
    "roberta": lambda **options: bytes_tokenizer(transformers.RobertaTokenizer, ROBERTA, **options),
    "deberta": lambda: bytes_tokenizer(transformers.DebertaTokenizer, ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")),
    "gpt2": lambda **options: bytes_tokenizer(transformers.GPT2Tokenizer, ("<|endoftext|>",), **options),
    "qwen2": lambda: bytes_tokenizer(transformers.Qwen2Tokenizer, ("<|endoftext|>",)),
    "xlm-roberta": lambda **options: sentence_pieces(transformers.XLMRobertaTokenizer, ROBERTA, **options),
    "camembert": lambda **options: sentence_pieces(transformers.CamembertTokenizer, ROBERTA, **options),
    "albert": lambda: sentence_pieces(transformers.AlbertTokenizer, ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")),
    "xlnet": lambda **options: sentence_pieces(
        transformers.XLNetTokenizer, ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"), **options
    ),
    "t5": lambda: sentence_pieces(transformers.T5Tokenizer, ("<pad>", "</s>", "<unk>"), extra_ids=0),
    "deberta-v2": lambda **options: sentence_pieces(
        transformers.DebertaV2Tokenizer, ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"), "[UNK]", **options
    ),
    "byt5": lambda: transformers.ByT5Tokenizer(model_max_length=MAX_LENGTH),
    "canine": lambda: transformers.CanineTokenizer(model_max_length=MAX_LENGTH),
    "mpnet": lambda **options: transformers.MPNetTokenizer(
        vocab={piece: n for n, piece in enumerate(["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *WORD_PIECES[5:]])},
        **{"model_max_length": MAX_LENGTH, **options},
    ),
}
