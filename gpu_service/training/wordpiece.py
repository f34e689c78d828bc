"""Trains a WordPiece tokenizer that reads ordinary text as it reads the pre-tokenised training text."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import NFKD, Lowercase, Replace, Sequence, StripAccents
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer
from transformers import PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# The treebank writes "does n't" and "it 's": these splits turn "doesn't" and "it's" into the same words.
WORDS = r"n't\b|'(?:s|re|ve|ll|d|m)\b|\w+?(?=n't\b)|\w+|[^\w\s]"
SAME = [("[‘’´`]", "'"), ("''|[“”]", '"'), (r"\bcannot\b", "can not"), ("[–—]|--", "-"), (r"(?<=[!?.])[!?.]+", "")]


def train(texts: Iterable[str], vocabulary: int, max_length: int) -> PreTrainedTokenizerFast:
    """Learns the vocabulary from the texts; the result is saved as tokenizer.json and tokenizer_config.json."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))  # noqa: S106  a token of text
    replacements = [Replace(Regex(pattern), content) for pattern, content in SAME]
    tokenizer.normalizer = Sequence([NFKD(), Lowercase(), StripAccents(), *replacements])
    tokenizer.pre_tokenizer = Split(Regex(WORDS), behavior="removed", invert=True)
    trainer = WordPieceTrainer(vocab_size=vocabulary, min_frequency=2, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        unk_token="[UNK]",  # noqa: S106
        pad_token="[PAD]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        mask_token="[MASK]",  # noqa: S106
    )
