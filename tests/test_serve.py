"""The service in this process: its answers, its limits, its errors and its manners."""

import asyncio
import base64
import io
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rexnet_ai_real import Detector
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.page.headers import HEADERS
from rexnet_ai_real.serve.app import Service
from rexnet_ai_real.serve.batching import Batcher
from rexnet_ai_real.serve.gate import SECURITY
from rexnet_ai_real.serve.keys import Keys
from rexnet_ai_real.serve.limits import Limits
from rexnet_ai_real.serve.problems import Busy
from rexnet_ai_real.serve.uploads import HeldBytes
from tests.serving import PAGE, app_of, asking, picture, running

Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
T = TypeVar("T")
DETECT = "/v1/detect"
GOOD = picture(0)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load()


@pytest.fixture(scope="module")
def service(detector: Detector) -> Iterator[Service]:
    with running(detector, card="# Card") as made:
        yield made


def answer(service: Service, ask: Ask) -> httpx.Response:
    """What one request gets."""

    async def asked() -> httpx.Response:
        async with asking(app_of(service)) as client:
            return await ask(client)

    return asyncio.run(asked())


def post(service: Service, url: str = DETECT, **sent: Any) -> httpx.Response:
    return answer(service, lambda client: client.post(url, **sent))


def get(service: Service, url: str, **sent: Any) -> httpx.Response:
    return answer(service, lambda client: client.get(url, **sent))


def problem(response: httpx.Response, status: int) -> str:
    """The detail of an error, which has the form of RFC 9457 and shows nothing of the machine."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert set(told) == {"type", "title", "status", "detail"}
    assert told["status"] == status
    assert "Traceback" not in response.text
    assert str(Path(__file__).parents[1]) not in response.text
    return str(told["detail"])


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
        async with asking(app_of(service)) as client:
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


def test_too_many_bytes(detector: Detector) -> None:
    pieces = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pieces
        while True:
            pieces += 1
            yield bytes(1000)

    with running(detector, Limits(max_bytes=len(GOOD), max_files=2)) as small:
        assert post(small, content=GOOD).status_code == 200
        assert "the limit" in problem(post(small, content=GOOD + b"x"), 413)
        assert "the limit" in problem(post(small, files={"a": GOOD + b"x"}), 413)
        assert "the limit" in problem(post(small, content=endless()), 413)
        assert pieces < 2 * len(GOOD) / 1000  # read no further


def test_too_many_pixels(detector: Detector) -> None:
    with running(detector, Limits(max_pixels=299 * 200)) as small:
        assert "300 x 200 pixels, more than the limit of 59,800" in problem(post(small, content=GOOD), 422)


def test_a_slow_body(detector: Detector) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield GOOD[:100]
        await asyncio.sleep(60)

    with running(detector, Limits(timeout=0.2)) as hasty:
        assert "did not arrive within 0.2 seconds" in problem(post(hasty, content=slow()), 408)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Until it is set, the engine waits."""
    go, run = threading.Event(), Batcher._answer

    def wait(batcher: Any, batch: Any) -> None:
        assert go.wait(60)
        run(batcher, batch)

    monkeypatch.setattr(Batcher, "_answer", wait)
    return go


def test_an_answer_that_takes_too_long(detector: Detector, held: threading.Event) -> None:
    with running(detector, Limits(timeout=0.3)) as hasty:
        assert "No answer within 0.3 seconds" in problem(post(hasty, content=GOOD), 504)
        assert hasty.judge.waiting == 0
        held.set()


def test_a_full_queue_says_when_to_come_back(detector: Detector, held: threading.Event) -> None:
    async def ask(service: Service) -> list[httpx.Response]:
        async with asking(app_of(service)) as client:
            first = [asyncio.create_task(client.post(DETECT, content=GOOD)) for _ in range(3)]
            while service.judge.waiting < 3:
                await asyncio.sleep(0.01)
            refused = await client.post(DETECT, content=GOOD)
            held.set()
            return [refused, *await asyncio.gather(*first), await client.post(DETECT, content=GOOD)]

    with running(detector, Limits(queue=3, max_files=2)) as small:
        refused, *others = asyncio.run(ask(small))
        assert "3 images wait already" in problem(refused, 503)
        assert refused.headers["retry-after"] == "1"
        assert [response.status_code for response in others] == [200] * 4


def test_a_queue_for_less_than_one_request_is_refused() -> None:
    with pytest.raises(UserError, match="--queue 3 is less than --max-files 4"):
        Limits(queue=3, max_files=4)


def test_bytes_held_by_others(service: Service) -> None:
    held = HeldBytes(100)
    with held.holding() as mine:
        mine.take(60)
        with held.holding() as other, pytest.raises(Busy):
            other.take(41)
        mine.take(40)
    assert held.taken == 0


def test_an_engine_that_fails_is_told_and_goes_on(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(images: object) -> None:
        raise RuntimeError("/secret/path")

    with monkeypatch.context() as patch:
        patch.setattr(service.judge._engine, "logits", fail)

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app_of(service), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.post(DETECT, content=GOOD)

        assert "secret" not in problem(asyncio.run(asked()), 500)
    assert post(service, content=GOOD).status_code == 200
    assert get(service, "/healthz").json() == {"status": "ok"}


# Keys


def test_keys(detector: Detector, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the team\n\nfirst-key-0123456789\nsecond-key-0123456789\n")
    with running(detector, keys=Keys.read(file)) as locked:
        refused = post(locked, content=GOOD)
        assert "Authorization: Bearer KEY" in problem(refused, 401)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        for given in (
            "Bearer first-key-012345678",
            "Basic first-key-0123456789",
            "Bearer \xff",
            "Bearer # of the team",
        ):
            problem(get(locked, "/v1/model", headers={"authorization": given.encode("latin-1")}), 401)
        for key in ("first-key-0123456789", "second-key-0123456789"):
            assert post(locked, content=GOOD, headers={"authorization": f"Bearer {key}"}).status_code == 200
        problem(get(locked, "/metrics"), 401)
        assert [get(locked, path).status_code for path in ("/healthz", "/readyz", "/")] == [200] * 3
        document = get(locked, "/openapi.json").json()
        assert document["paths"][DETECT]["post"]["security"] == [{"key": []}]


@pytest.mark.parametrize(("text", "words"), [("#none\n", "holds no key"), ("a\n", "line 1"), ("é" * 20, "ASCII")])
def test_a_file_that_holds_no_keys(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        Keys.read(tmp_path / "keys")


# Manners


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


def test_neither_log_nor_metrics_say_what_was_sent(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rexnet_ai_real.serve"):
        post(service, f"{DETECT}?provenance=true", files={"field": ("secret-name.jpg", GOOD)})
        get(service, "/secret-path?secret=query")
    assert [
        message.rpartition(" ")[0].rpartition(" ")[0] for message in caplog.messages if "secret" not in message
    ] == [
        "POST /v1/detect 200",
        "GET other 404",
    ]
    text = get(service, "/metrics").text
    assert "secret" not in text
    assert 'rexnet_requests_total{method="POST",route="/v1/detect",status="200"}' in text
    assert "rexnet_waiting_images 0.0" in text
    assert 'rexnet_images_total{label="' in text


def test_while_it_stops_new_requests_are_refused_and_accepted_ones_answered(
    detector: Detector, held: threading.Event
) -> None:
    async def ask(service: Service) -> list[httpx.Response]:
        async with asking(app_of(service)) as client:
            accepted = asyncio.create_task(client.post(DETECT, content=GOOD))
            while not service.judge.waiting:
                await asyncio.sleep(0.01)
            service.traffic.is_stopping = True
            new = [await client.post(DETECT, content=GOOD), await client.get("/readyz"), await client.get("/healthz")]
            held.set()
            return [await accepted, *new]

    with running(detector) as stopping:
        accepted, refused, ready, health = asyncio.run(ask(stopping))
    assert accepted.status_code == 200
    assert "is stopping" in problem(refused, 503)
    assert refused.headers["retry-after"] == "1"
    assert "is stopping" in problem(ready, 503)
    assert health.status_code == 200


def test_an_engine_that_has_ended_is_not_healthy(detector: Detector) -> None:
    with running(detector) as ended:
        pass
    assert "restart" in problem(get(ended, "/healthz"), 503)


# Batches


def test_a_batch_waits_for_what_is_coming_and_no_longer() -> None:
    sizes: list[int] = []

    def run(batch: Any) -> Any:
        sizes.append(len(batch))
        return batch

    with Batcher[int, int](run, batch_size=4, max_wait=30, coming=lambda: 3) as batcher:
        answers = [batcher.submit(number) for number in range(3)]
        assert [answer.result(20) for answer in answers] == [0, 1, 2]
    assert sizes == [3]


def test_what_is_cancelled_is_not_run() -> None:
    go, ran = threading.Event(), list[int]()

    def run(batch: Any) -> Any:
        go.wait(20)
        ran.extend(batch)
        return batch

    with Batcher[int, int](run, batch_size=1, max_wait=0, coming=lambda: 1) as batcher:
        first: Future[int] = batcher.submit(1)
        second = batcher.submit(2)
        while not first.running():
            pass
        assert second.cancel()
        go.set()
    assert ran == [1]
