"""The OpenAPI document: FastAPI's own, with the body that the service reads itself, its errors and its keys."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from rexnet_ai_real.serve.problems import ProblemDetails

_IMAGE: Final = {"type": "string", "format": "binary"}
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "Any image format that `predict` reads. Every part of a form is taken for an image, whatever "
        "its field is called; any other type of body for one raw image.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": {"type": "array", "items": _IMAGE, "minItems": 1}},
                    "required": ["image"],
                }
            },
            "application/octet-stream": {"schema": _IMAGE},
        },
    }
}
"""Of /v1/detect."""
_OPEN: Final = ("/healthz", "/readyz")
"""Need no key."""


def describe(app: FastAPI, *, with_keys: bool) -> None:
    """Let the app give this document at /openapi.json."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            components = made["components"]
            components["schemas"][ProblemDetails.__name__] = ProblemDetails.model_json_schema()
            if with_keys:
                components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
                for path, operations in made["paths"].items():
                    for operation in operations.values():
                        operation["security"] = [] if path in _OPEN else [{"key": []}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI's documentation extends it
