"""The routes of the service, and the application around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

import rexnet_ai_real
from rexnet_ai_real.detector.name import detector_name
from rexnet_ai_real.detector.worth import Worth
from rexnet_ai_real.page.site import PageFile
from rexnet_ai_real.serve import problems, site
from rexnet_ai_real.serve.accept import prefers
from rexnet_ai_real.serve.answers import Answer, Model, Status, Taken, result
from rexnet_ai_real.serve.gate import Gate, Traffic
from rexnet_ai_real.serve.judge import Judge, Wanted
from rexnet_ai_real.serve.keys import Keys
from rexnet_ai_real.serve.metrics import Metrics
from rexnet_ai_real.serve.openapi import BODY, describe
from rexnet_ai_real.serve.problems import Busy, Problem, documented
from rexnet_ai_real.serve.uploads import HeldBytes, is_form, read_uploads

_PNG: Final = "image/png"
_JSON: Final = "application/json"
_ERRORS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.NOT_IMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""Of /v1/detect."""


@dataclass(frozen=True)
class Service:
    """All that the routes need."""

    judge: Judge
    worth: Worth
    metrics: Metrics
    traffic: Traffic = field(default_factory=Traffic)
    keys: Keys | None = None
    """None: anyone may ask."""
    card: str | None = None
    """The detector's model card."""
    page: Mapping[str, PageFile] = field(default_factory=dict)
    """The files of the page by their paths."""

    @cached_property
    def detector(self) -> str:
        """The name that stands beside each answer."""
        return detector_name(self.judge.detector.description)

    def check_key(self, request: Request) -> None:
        """Let those pass who may ask.

        Raises:
            Problem: 401.
        """
        if self.keys is not None:
            self.keys.check(request)


def application(service: Service) -> Gate:
    """The ASGI application of a service, whose judge is open while it runs."""
    # Without FastAPI's own pages of documentation, which load scripts from elsewhere.
    app = FastAPI(title="rexnet-ai-real", version=rexnet_ai_real.__version__, docs_url=None, redoc_url=None)
    problems.install(app)
    _add_detect(app, service)
    _add_model(app, service)
    _add_state(app, service)
    for name, file in service.page.items():
        for path in site.paths(name):
            app.add_route(path, site.answering(file), include_in_schema=False)
    describe(app, with_keys=service.keys is not None)
    paths = [str(found) for route in app.routes if (found := getattr(route, "path", None))]
    return Gate(app, paths, service.metrics, service.traffic)


def _add_detect(app: FastAPI, service: Service) -> None:
    judge = service.judge
    held = HeldBytes(judge.limits.held_bytes)

    @app.post(
        "/v1/detect",
        response_model=Answer,
        responses={
            200: {"description": "What is said of each image.", "content": {_PNG: {}}},
            **documented(*_ERRORS),
        },
        openapi_extra=BODY,
        summary="Say of images whether they are AI-generated",
    )
    async def detect(
        request: Request,
        heat_map: Annotated[bool, Query(description="Also where the evidence lies, as a PNG.")] = False,
        provenance: Annotated[bool, Query(description="Also what the metadata claim.")] = False,
    ) -> Response:
        service.check_key(request)
        judge.check_room()  # before the body is read
        wants_png = prefers(_PNG, _JSON, request.headers.get("accept", ""))
        wanted = Wanted(heat_map or wants_png, provenance)
        with held.holding() as hold:
            uploads = await read_uploads(request, judge.limits, hold)
            judged = await judge.judge(uploads, wanted)
        for one in judged:
            service.metrics.images.labels(one.verdict.label or "error").inc()
        if len(judged) == 1 and judged[0].failure is not None:
            raise judged[0].failure
        error = judged[0].verdict.error
        if error is not None and (wants_png or not is_form(request)):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"The image cannot be read: {error}.")
        if wants_png:
            if len(judged) > 1:
                raise Problem(HTTPStatus.NOT_ACCEPTABLE, f"{_PNG} is the answer on one image alone: send one.")
            return Response(judged[0].heat_map, media_type=_PNG)
        results = [result(upload, one, wanted) for upload, one in zip(uploads, judged, strict=True)]
        answer = Answer(detector=service.detector, results=results)
        return Response(answer.model_dump_json(exclude_unset=True), media_type=_JSON)


def _add_model(app: FastAPI, service: Service) -> None:
    detector, limits, worth = service.judge.detector, service.judge.limits, service.worth
    model = Model(
        detector=service.detector,
        name=worth.name,
        fingerprint=detector.fingerprint,
        backend=detector.engine.backend,
        image_size=detector.preprocessing.image_size,
        heat_maps=service.judge.gives_heat,
        worth=worth.sentences,
        rule=worth.rule(always=False),
        limits=Taken(max_bytes=limits.max_bytes, max_pixels=limits.max_pixels, max_files=limits.max_files),
        card=service.card,
    )

    @app.get(
        "/v1/model",
        responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE),
        summary="The detector that answers, and what its answers are worth",
    )
    async def card(request: Request) -> Model:
        service.check_key(request)
        return model


def _add_state(app: FastAPI, service: Service) -> None:
    unavailable: dict[int | str, dict[str, Any]] = documented(HTTPStatus.SERVICE_UNAVAILABLE)

    @app.get("/healthz", responses=unavailable, summary="Whether the engine works")
    async def health() -> Status:
        if not service.judge.is_alive:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The engine's thread has ended: restart the service.")
        return Status(status="ok")

    @app.get("/readyz", responses=unavailable, summary="Whether requests are taken")
    async def ready() -> Status:
        if service.traffic.is_stopping:
            raise Busy("The service is stopping.")
        return await health()

    @app.get(
        "/metrics",
        responses={200: {"content": {CONTENT_TYPE_PLAIN_0_0_4: {}}}, **documented(HTTPStatus.UNAUTHORIZED)},
        response_class=Response,
        summary="Counts and durations, for Prometheus",
    )
    async def metrics(request: Request) -> Response:
        service.check_key(request)
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
