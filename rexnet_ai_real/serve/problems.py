"""Errors as the service tells them: RFC 9457, "application/problem+json", in one sentence without paths or traces."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from rexnet_ai_real.serve.limits import RETRY_SECONDS

MEDIA_TYPE: Final = "application/problem+json"


class ProblemDetails(BaseModel):
    """What an error answers, as the OpenAPI document describes it."""

    type: str = Field(description='Always "about:blank": the status says what kind of error it is.')
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What was wrong, and what to do.")


class Problem(Exception):
    """An answer other than the one asked for. `str()` is its detail."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """`detail` is shown to whoever asked: no path, no trace, nothing of another request."""
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})

    @property
    def response(self) -> Response:
        """As it is sent."""
        return problem_response(self.status, str(self), self.headers)


class Busy(Problem):
    """The service could do it later."""

    def __init__(self, detail: str) -> None:
        """503, with the time after which to try again."""
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(RETRY_SECONDS)})


def problem_response(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """One error as it is sent."""
    content = ProblemDetails(type="about:blank", title=status.phrase, status=status.value, detail=detail)
    return JSONResponse(content.model_dump(), status.value, headers, MEDIA_TYPE)


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """These errors of a route for the OpenAPI document."""
    schema = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}
    return {
        status.value: {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }


def install(app: FastAPI) -> None:
    """Let every error of the app be told in this one form."""

    def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response

    def of_framework(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(HTTPStatus(error.status_code), f"{error.detail}.", error.headers)

    def of_arguments(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, f"{where}: {first['msg']}.")

    def unforeseen(_: Request, __: Exception) -> Response:
        return problem_response(
            HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed on this request; its log says more."
        )

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(RequestValidationError, of_arguments)
    app.add_exception_handler(Exception, unforeseen)
