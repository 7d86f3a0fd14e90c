"""The service in this process: its answers, its errors and its manners."""

import asyncio
import base64
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rexnet_ai_real import Detector
from rexnet_ai_real.page.headers import HEADERS
from rexnet_ai_real.serve import judge
from rexnet_ai_real.serve.app import Service, application
from rexnet_ai_real.serve.gate import SECURITY
from tests.serving import DETECT, PAGE, asking, get, picture, post, problem, running

GOOD = picture(0)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load()


@pytest.fixture(scope="module")
def service(detector: Detector) -> Iterator[Service]:
    with running(detector, card="# Card") as made:
        yield made


# Answers


def test_the_answers_are_those_of_predict(service: Service, detector: Detector, tmp_path: Path) -> None:
    files = {
        "photo.jpg": GOOD,
        "large.png": picture(1, (900, 700), "PNG"),
        "tiny.png": picture(2, (20, 20), "PNG"),
        "turned.webp": picture(3, (120, 400), "WEBP"),
        "cut.jpg": GOOD[:1500],
        "empty.jpg": b"",
        "text.txt": b"no image at all",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    expected = list(detector.predict([tmp_path / name for name in files]))
    response = post(service, files=[("any", (name, data)) for name, data in files.items()])
    assert response.status_code == 200
    assert response.json()["detector"] == service.detector
    for result, verdict in zip(response.json()["results"], expected, strict=True):
        assert result["name"] == Path(verdict.path).name
        assert result["probability"] == pytest.approx(verdict.probability, abs=1e-5)
        for field in ("label", "leaning", "reason", "remark", "error"):
            assert result[field] == getattr(verdict, field)
    assert {result["label"] for result in response.json()["results"]} > {"out of scope", None}


def test_a_raw_body_is_one_image_without_a_name(service: Service) -> None:
    (result,) = post(service, content=GOOD).json()["results"]
    (named,) = post(service, files={"image": ("a.jpg", GOOD)}).json()["results"]
    assert result == named | {"name": None}
    assert "provenance" not in result
    assert "heat_map" not in result


def test_names_come_back_as_they_were_sent(service: Service) -> None:
    names = ["ärger/ö.jpg", 'with "quotes".jpg', "a" * 300]
    response = post(service, files=[("image", (name, b"x")) for name in names])
    told = [result["name"] for result in response.json()["results"]]
    assert told[0] == names[0]
    assert told[2] == names[2]
    assert "quotes" in told[1]


def test_provenance_on_request(service: Service) -> None:
    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512, Model: x")
    sent = picture(4, suffix="PNG", pnginfo=info)
    (result,) = post(service, f"{DETECT}?provenance=true", content=sent).json()["results"]
    assert result["provenance"]["says"] == "ai"
    assert result["provenance"]["evidence"][0]["kind"] == "parameters"
    assert "metadata can be forged" in result["provenance"]["verdict"]


def test_a_heat_map_on_request(service: Service) -> None:
    sent = picture(5, (1600, 800))
    asked = post(service, f"{DETECT}?heat_map=true", files=[("a", sent), ("b", b"none")]).json()["results"]
    png = base64.b64decode(asked[0]["heat_map"])
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.size) == ("PNG", (640, 320))
    assert asked[1]["heat_map"] is None
    alone = post(service, content=sent, headers={"accept": "image/png"})
    assert alone.headers["content-type"] == "image/png"
    assert alone.content == png
    plain = post(service, content=sent).json()["results"][0]
    assert asked[0]["probability"] == pytest.approx(plain["probability"], abs=1e-5)
    detail = problem(post(service, files=[("a", sent), ("b", sent)], headers={"accept": "image/png"}), 406)
    assert "one image alone" in detail


def test_many_at_once_share_batches_and_keep_their_answers_apart(service: Service) -> None:
    images = [picture(seed) for seed in range(10, 34)]
    expected = [post(service, content=image).json()["results"] for image in images]

    async def ask() -> list[httpx.Response]:
        async with asking(application(service)) as client:
            return await asyncio.gather(*(client.post(DETECT, content=image) for image in images))

    for response, result in zip(asyncio.run(ask()), expected, strict=True):
        assert response.json()["results"][0]["probability"] == pytest.approx(result[0]["probability"], abs=1e-5)
    largest = [line for line in get(service, "/metrics").text.splitlines() if 'batch_images_bucket{le="1.0"}' in line]
    total = [line for line in get(service, "/metrics").text.splitlines() if "batch_images_count" in line]
    assert float(largest[0].split()[1]) < float(total[0].split()[1])  # some batches held more than one


def test_the_model_and_its_card(service: Service, detector: Detector) -> None:
    told = get(service, "/v1/model").json()
    assert told["fingerprint"] == detector.fingerprint
    assert told["card"] == "# Card"
    assert told["heat_maps"] is True
    assert told["worth"][0] == "An answer is no proof."


# Errors


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ({"content": b"no image"}, 422, "not an image"),
        ({"content": b""}, 422, "empty file"),
        ({"content": GOOD[:1500]}, 422, "JPEG"),
        ({"files": [("a", b"x")] * 17}, 413, "More than 16 files"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "names no boundary"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, "no multipart"),
        ({"content": b"--b\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, "ends before"),
        ({"content": b"--b--", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 422, "holds no file"),
        ({"content": b"x", "headers": {"content-type": f"multipart/form-data; boundary={'b' * 999}"}}, 400, "too long"),
        ({"content": GOOD, "url": f"{DETECT}?heat_map=perhaps"}, 422, "query heat_map"),
    ],
)
def test_what_cannot_be_answered(service: Service, sent: dict[str, Any], status: int, words: str) -> None:
    assert words in problem(post(service, **sent), status)


def test_unknown_routes_and_methods(service: Service) -> None:
    assert problem(get(service, "/v1/../etc/passwd"), 404) == "Not Found."
    assert problem(get(service, DETECT), 405) == "Method Not Allowed."


def test_an_engine_that_fails_is_told_and_goes_on(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(images: object) -> None:
        raise RuntimeError("/secret/path")

    with monkeypatch.context() as patch:
        patch.setattr(service.judge._engine, "logits", fail)

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(application(service), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.post(DETECT, content=GOOD)

        assert "secret" not in problem(asyncio.run(asked()), 500)
    assert post(service, content=GOOD).status_code == 200
    assert get(service, "/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(("error", "status"), [(MemoryError("secret"), 503), (ValueError("secret"), 500)])
@pytest.mark.parametrize("where", ["prepared", "judged"])
def test_what_the_service_fails_at_is_not_the_clients_fault(
    service: Service,
    error: Exception,
    status: int,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    if where == "prepared":
        monkeypatch.setattr(judge, "read_with_remarks", fail)
    else:
        monkeypatch.setattr(service.judge._engine, "logits", fail)
    alone = post(service, content=GOOD)
    assert "cannot be read" not in problem(alone, status)
    assert alone.headers.get("retry-after") == ("1" if status == 503 else None)
    many = post(service, files=[("a", GOOD), ("b", b"no image")])
    assert many.status_code == 200
    failed, unreadable = (result["error"] for result in many.json()["results"])
    assert failed.startswith("The service")
    assert unreadable == ("not an image" if where == "judged" else failed)
    assert type(error).__name__ in caplog.text
    assert "in fail\n" in caplog.text
    assert "secret" not in alone.text + many.text + caplog.text


def test_damaged_weights_are_the_services_fault(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(judge, "logits_of_views", lambda _, views: np.full(len(views), np.nan, np.float32))
    assert "weights" not in problem(post(service, content=GOOD), 500)
    assert "DamagedWeights" in caplog.text


# Manners


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/json, image/png;q=0", "application/json"),
        ("image/png; q=0.5, application/json", "application/json"),
        ("image/png;q=much", "application/json"),
        ("*/*", "application/json"),
        ("Image/PNG, */*;q=0.5", "image/png"),
        ("application/json;q=0.1, image/png;q=0.2", "image/png"),
    ],
)
def test_the_type_that_is_preferred(service: Service, accept: str, media_type: str) -> None:
    assert post(service, content=GOOD, headers={"accept": accept}).headers["content-type"] == media_type


def test_every_answer_has_its_headers(service: Service) -> None:
    answers = [post(service, content=GOOD), post(service, content=b"x"), get(service, "/nothing"), get(service, "/")]
    for response in answers[:3]:
        assert SECURITY.items() <= {name.title(): value for name, value in response.headers.items()}.items()
    assert HEADERS["Content-Security-Policy"] == answers[3].headers["content-security-policy"]


def test_the_page_is_kept_and_asked_for_again(service: Service) -> None:
    first = get(service, "/")
    assert first.content == get(service, "/index.html").content == PAGE["index.html"].data
    assert first.headers["cache-control"] == "no-cache"
    again = get(service, "/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    model = get(service, "/model.onnx.gz")
    assert (model.content, model.headers["content-type"]) == (PAGE["model.onnx.gz"].data, "application/gzip")
    assert "content-encoding" not in model.headers


def test_nothing_is_written_to_disk(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was asked for")

    names = ("mkstemp", "TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "_TemporaryFileWrapper")
    for name in names:
        monkeypatch.setattr(tempfile, name, refuse)
    large = picture(6, (1500, 1500), "BMP")
    assert len(large) > 6_000_000
    answered = post(service, files=[("a", ("secret.bmp", large)), ("b", ("b.jpg", GOOD))])
    assert [result["error"] for result in answered.json()["results"]] == [None, None]


@pytest.mark.parametrize("sent", [b"secret", b"--b\rsecret", b"--b\r\nse cret: x\r\n", b"--b\r\na: b\rsecret"])
def test_a_damaged_form_is_not_logged(service: Service, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        problem(post(service, content=sent, headers={"content-type": "multipart/form-data; boundary=b"}), 400)
    assert not [record for record in caplog.records if record.name.startswith("python_multipart")]


def test_neither_log_nor_metrics_say_what_was_sent(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rexnet_ai_real.serve"):
        post(service, f"{DETECT}?provenance=true", files={"field": ("secret-name.jpg", GOOD)})
        get(service, "/secret-path?secret=query")
    # Those of the service: the client that asks it here logs too, once any test has set up logging.
    own = [record.getMessage() for record in caplog.records if record.name.startswith("rexnet_ai_real.")]
    assert [message.rpartition(" ")[0].rpartition(" ")[0] for message in own] == [
        "POST /v1/detect 200",
        "GET other 404",
    ]
    text = get(service, "/metrics").text
    assert "secret" not in text
    assert 'rexnet_requests_total{method="POST",route="/v1/detect",status="200"}' in text
    assert "rexnet_waiting_images 0.0" in text
    assert 'rexnet_images_total{label="' in text
