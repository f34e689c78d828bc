"""What is served against its own OpenAPI document: requests made up by schemathesis, of its form and not."""

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks

from gpu_service.settings import Settings
from gpu_service.web import openapi

DOCUMENT = openapi.document(Settings())
OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
bounded = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def address(serve_long: Callable[..., Any]) -> str:
    server = serve_long()
    server.wait_until_ready()
    assert server.http.get("/openapi.json").json() == DOCUMENT
    return f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_what_the_document_allows_is_answered_as_it_says(address: str, operation: Any):
    """A schema cannot say which texts are blank or which buckets are allowed: some of it may be refused."""
    validate(operation, GenerationMode.POSITIVE, address, excluded_checks=[checks.positive_data_acceptance])


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.method == "post"], ids=lambda operation: operation.label
)
def test_what_the_document_forbids_is_refused(address: str, operation: Any):
    validate(operation, GenerationMode.NEGATIVE, address)


def validate(operation: Any, mode: GenerationMode, address: str, **options: Any) -> None:
    @bounded
    @given(case=operation.as_strategy(generation_mode=mode), name=st.sampled_from(["moods", None]))
    def check(case: Any, name: str | None) -> None:
        if name and case.path_parameters:
            case.path_parameters["name"] = name
        case.call_and_validate(base_url=address, **options)

    check()
