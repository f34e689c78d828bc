"""The samples are what their generator writes, and each has an expected outcome."""

import gzip
from pathlib import Path

from samples import generate
from samples.outcomes import MESSAGE, expected

SAMPLES = Path(generate.__file__).parent


def test_every_sample_has_an_expected_outcome():
    folders = [folder for folder in SAMPLES.iterdir() if folder.is_dir() and not folder.name.startswith("__")]
    files = {path.relative_to(SAMPLES).as_posix() for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert files == set(expected()) - {MESSAGE}


def test_the_generator_writes_the_committed_bytes():
    generated = {**generate.texts(), **generate.images(), **generate.series(), **generate.tables(), **generate.bad()}
    for name, data in generated.items():
        assert content(name, (SAMPLES / name).read_bytes()) == content(name, data), name


def content(name: str, data: bytes) -> bytes:
    """The uncompressed content, because versions of zlib compress differently."""
    return gzip.decompress(data) if name.endswith(".gz") else data
