"""The service against whatever its own OpenAPI document allows, and against what it does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rexnet_ai_real import Detector
from rexnet_ai_real.serve.app import application
from tests.serving import running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
Operations = dict[str, APIOperation[Any, Any, Any, Any]]
NAMES = {"POST /v1/detect", "GET /v1/model", "GET /healthz", "GET /readyz", "GET /metrics"}
SETTINGS = hypothesis.settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="module")
def operations() -> Iterator[Operations]:
    """By their names in the document, as the running service gives it."""
    with running(Detector.load()) as service:
        document = schemathesis.openapi.from_asgi("/openapi.json", application(service))
        found = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
        yield {operation.label: operation for operation in found}


def test_the_document_has_every_operation(operations: Operations) -> None:
    assert set(operations) == NAMES


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("name", sorted(NAMES))
def test_whatever_is_asked_the_answer_is_as_documented(name: str, mode: GenerationMode, operations: Operations) -> None:
    statuses = set()

    @SETTINGS
    @hypothesis.given(case=operations[name].as_strategy(mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        assert str(Path(__file__).parents[1]) not in response.text
        statuses.add(response.status_code)

    try:
        ask()
    except hypothesis.errors.Unsatisfiable:  # what has no arguments cannot be asked wrongly
        assert (mode, name == "POST /v1/detect") == (GenerationMode.NEGATIVE, False)
        return
    assert statuses
    if name == "POST /v1/detect":
        assert {200, 422} & statuses
