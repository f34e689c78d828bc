"""Settings from the environment, and invalid ones."""

import pytest

from pipeline import settings
from pipeline.errors import ConfigurationError

ENV = {
    "INPUT_BUCKET": "in",
    "WORK_BUCKET": "work",
    "OUTPUT_BUCKET": "out",
    "WORKFLOW": "projects/p/locations/l/workflows/w",
}


def test_defaults() -> None:
    loaded = settings.load(ENV, starts_executions=True)
    assert loaded.claim_lease == 60
    assert loaded.gpu_usd_per_second == 0.0002907
    assert loaded.revision == "local"


def test_everything_can_be_set() -> None:
    more = {"CLAIM_LEASE_SECONDS": "10", "K_REVISION": "r-1", "MAX_TEXT_BYTES": "5"}
    loaded = settings.load(ENV | more)
    assert (loaded.claim_lease, loaded.revision, loaded.max_bytes["text"]) == (10, "r-1", 5)


def test_waits_are_read_by_prefix() -> None:
    assert settings.load(ENV).max_wait == {}
    assert settings.load(ENV | {"MAX_WAIT": "1h, live/=0 ,night/a=b/=90s,"}).max_wait == {
        "": 3600,
        "live/": 0,
        "night/a=b/": 90,
    }


@pytest.mark.parametrize("text", ["soon", "a/=", "=", "25h", "1h;2h", "a/=-1"])
def test_a_wait_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="MAX_WAIT"):
        settings.load(ENV | {"MAX_WAIT": text})


@pytest.mark.parametrize("missing", ["INPUT_BUCKET", "WORK_BUCKET", "OUTPUT_BUCKET", "WORKFLOW"])
def test_a_missing_variable_is_named(missing: str) -> None:
    for env in ({**ENV, missing: " "}, {key: value for key, value in ENV.items() if key != missing}):
        with pytest.raises(ConfigurationError, match=missing):
            settings.load(env, starts_executions=True)


@pytest.mark.parametrize("pair", [("INPUT_BUCKET", "OUTPUT_BUCKET"), ("INPUT_BUCKET", "WORK_BUCKET")])
def test_equal_buckets_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="must differ"):
        settings.load(ENV | {pair[1]: ENV[pair[0]]})


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_an_invalid_number_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="CLAIM_LEASE_SECONDS"):
        settings.load(ENV | {"CLAIM_LEASE_SECONDS": value})
