"""The bounds of the service: bytes, pixels, time, the queue, keys, batches, and its end."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest

from rexnet_ai_real import Detector
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.serve.app import Service, application
from rexnet_ai_real.serve.batching import Batcher
from rexnet_ai_real.serve.keys import Keys
from rexnet_ai_real.serve.limits import Limits
from rexnet_ai_real.serve.problems import Busy
from rexnet_ai_real.serve.uploads import HeldBytes
from tests.serving import DETECT, asking, get, picture, post, problem, running

GOOD = picture(0)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load()


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
        async with asking(application(service)) as client:
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


def test_bytes_held_by_others() -> None:
    held = HeldBytes(100)
    with held.holding() as mine:
        mine.take(60)
        with held.holding() as other, pytest.raises(Busy):
            other.take(41)
        mine.take(40)
    assert held.taken == 0


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


def test_a_file_of_too_many_keys_is_refused_and_not_cut(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("key-0123456789-0123456789-012345\n" * (1 << 15))
    with pytest.raises(UserError, match="more than 1,048,576 bytes"):
        Keys.read(tmp_path / "keys")


def test_while_it_stops_new_requests_are_refused_and_accepted_ones_answered(
    detector: Detector, held: threading.Event
) -> None:
    async def ask(service: Service) -> list[httpx.Response]:
        async with asking(application(service)) as client:
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
