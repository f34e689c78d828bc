"""Reads a checkpoint's tokenizer: from tokenizer.json where that says all, else as transformers builds it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from tokenizers import Tokenizer

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import StartError
from gpu_service.inputs.texts import rebuilding
from gpu_service.inputs.texts.python_tokenizer import PythonTokenizer

Side = Literal["left", "right"]

MAX_LENGTH = 10**9  # transformers writes a larger number where there is no limit


class Encoding(Protocol):
    @property
    def ids(self) -> list[int]: ...

    @property
    def type_ids(self) -> list[int]: ...

    @property
    def overflowing(self) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """`max_length` is None where the tokenizer sets no limit; `has_segments`: the model reads the segments."""

    max_length: int | None
    truncation_side: Side
    has_segments: bool


def load(checkpoint: Checkpoint) -> tuple[Tokenizer | PythonTokenizer, Settings]:
    """The tokenizer that transformers' pipeline would use.

    Raises:
        StartError: the folder has no tokenizer, or an incomplete one.
    """
    path = checkpoint.folder / "tokenizer.json"
    if path.is_file() and (segments := rebuilding.as_it_stands(checkpoint)) is not None:
        tokenizer = _from_file(path)
        return tokenizer, _settings(checkpoint.read("tokenizer_config.json"), tokenizer, has_segments=segments)
    return _from_transformers(checkpoint)


def complete(checkpoint: Checkpoint) -> bool:
    """Writes the tokenizer.json that the folder lacks, so that starts need not import transformers to make it.

    Returns:
        Whether it wrote one.

    Raises:
        StartError: the folder has no tokenizer.
    """
    path = checkpoint.folder / "tokenizer.json"
    if path.is_file():
        return False
    tokenizer, settings = _from_transformers(checkpoint)
    if isinstance(tokenizer, PythonTokenizer):
        return False
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if settings.truncation_side == "left":
        tokenizer.enable_truncation(MAX_LENGTH, direction="left")
    partial = path.with_suffix(".partial")
    tokenizer.save(str(partial))
    partial.replace(path)
    return True


def _from_file(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more specific
        raise StartError(f"{path} cannot be read: {error}; save the tokenizer again.") from error


def _settings(config: dict[str, Any], tokenizer: Tokenizer, *, has_segments: bool) -> Settings:
    direction = (tokenizer.truncation or {}).get("direction", "right")
    side = config.get("truncation_side") or direction
    limit = config.get("model_max_length", config.get("max_len"))
    return Settings(_limit(limit), "left" if side == "left" else "right", has_segments)


def _from_transformers(checkpoint: Checkpoint) -> tuple[Tokenizer | PythonTokenizer, Settings]:
    import transformers

    folder = checkpoint.folder
    try:
        made: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise StartError(
            f"{folder} has no tokenizer that transformers can load ({reason.rstrip('.')}): save it there with "
            "AutoTokenizer.from_pretrained(…).save_pretrained(…)."
        ) from error
    _check_files(folder, made)
    has_segments = "token_type_ids" in made.model_input_names
    settings = Settings(_limit(made.model_max_length), made.truncation_side, has_segments)
    backend = transformers.PreTrainedTokenizerFast
    is_fast = made.is_fast and type(made)._encode_plus is backend._encode_plus
    return (made.backend_tokenizer if is_fast else PythonTokenizer(made)), settings


def _check_files(folder: Path, tokenizer: Any) -> None:
    """Without its files, transformers makes a tokenizer that knows no words.

    Raises:
        StartError: a file is missing.
    """
    names = dict(tokenizer.vocab_files_names)
    if not tokenizer.is_fast or (folder / names.pop("tokenizer_file", "tokenizer.json")).is_file():
        return
    missing = [name for name in names.values() if not (folder / name).is_file()]
    if missing:
        raise StartError(
            f"{folder} has neither tokenizer.json nor {' and '.join(missing)}: save the tokenizer there with "
            "AutoTokenizer.from_pretrained(…).save_pretrained(…)."
        )


def _limit(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and 1 <= value < MAX_LENGTH else None
