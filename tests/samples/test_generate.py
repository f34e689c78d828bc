"""The samples are what their generator writes, and each has an expectation."""

from pathlib import Path

from samples import generate
from samples.outcomes import MESSAGE, expected

SAMPLES = Path(generate.__file__).parent


def test_every_sample_has_an_expectation_and_every_expectation_a_sample():
    folders = [folder for folder in SAMPLES.iterdir() if folder.is_dir() and not folder.name.startswith("__")]
    files = {path.relative_to(SAMPLES).as_posix() for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert files == set(expected()) - {MESSAGE}


def test_the_generator_writes_the_committed_bytes():
    made = {**generate.texts(), **generate.images(), **generate.series(), **generate.tables(), **generate.bad()}
    assert {name: (SAMPLES / name).read_bytes() for name in made} == made
