"""The page: its files, its server, and what a visitor does with it in a real browser."""

import csv
import gzip
import http.client
import io
import json
import re
import shutil
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real import Detector
from rexnet_ai_real.data.scenes import render
from rexnet_ai_real.detector.ready import FOLDER
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export.__main__ import main as export
from rexnet_ai_real.export.request import PAGE_FILES, Request, check_request
from rexnet_ai_real.labels import AI
from rexnet_ai_real.page import site
from rexnet_ai_real.page.__main__ import main as page_command
from rexnet_ai_real.page.card import card_page
from rexnet_ai_real.page.headers import HEADERS, PAGE_POLICY
from rexnet_ai_real.page.server import PageServer
from rexnet_ai_real.page.site import PageFile, page_files
from tests.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NEAR = 0.01
"""Probabilities of the page and of Python differ by less."""


@pytest.fixture(scope="module")
def files() -> dict[str, PageFile]:
    return page_files(None)


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def address(files: dict[str, PageFile]) -> Iterator[str]:
    with serving(PageServer(files, "127.0.0.1", 0)) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def whole_page(browser: "Browser", address: str) -> "Iterator[Page]":
    with opened(browser, address) as found:
        yield found


@pytest.fixture
def page(whole_page: "Page") -> "Page":
    """The page, ready, without images. An error in it fails the last test that uses it."""
    whole_page.set_viewport_size({"width": 1200, "height": 800})
    whole_page.evaluate(
        """() => {
            document.getElementById("worth").close();
            for (const id of ["filter", "search"]) document.getElementById(id).value = "";
            document.getElementById("clear").click();
        }"""
    )
    return whole_page


@contextmanager
def opened(browser: "Browser", address: str, **options: object) -> "Iterator[Page]":
    context = browser.new_context(**options)  # type: ignore[arg-type]
    found = context.new_page()
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    found.goto(address)
    wait_until_ready(found)
    yield found
    context.close()
    assert errors == []


@contextmanager
def visiting(browser: "Browser", files: dict[str, PageFile]) -> "Iterator[Page]":
    """A page of these files, which may change meanwhile, in a profile of its own; its errors do not fail the test."""
    context = browser.new_context()
    page = context.new_page()
    with serving(PageServer(files, "127.0.0.1", 0)) as address:
        page.goto(address)
        yield page
    context.close()


def wait_until_ready(page: "Page") -> None:
    page.locator("#state", has_text="Ready").wait_for(timeout=120_000)


def photo(side: int = 200, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((side * 4 // 3, side), Image.Resampling.BICUBIC)


def as_bytes(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def choose(page: "Page", files: dict[str, bytes]) -> None:
    payloads = [{"name": name, "mimeType": "", "buffer": data} for name, data in files.items()]
    page.set_input_files("#files", payloads)  # type: ignore[arg-type]


def give(page: "Page", files: dict[str, bytes]) -> None:
    """Choose files, and wait for all of them."""
    choose(page, files)
    if len(files) == 1:
        page.locator("#one").wait_for()
        page.locator("#name", has_text=next(iter(files))).wait_for()
    else:
        page.locator("#count", has_text=f"{len(files)} images").wait_for(timeout=120_000)


def table_of(page: "Page") -> dict[str, dict[str, str]]:
    """The CSV file that the page gives, by name."""
    with page.expect_download() as download:
        page.click("#download")
    text = Path(download.value.path()).read_text(encoding="utf-8")
    return {row["path"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}


# Files and server


def test_everything_is_there_and_nothing_is_asked_of_anyone_else(files: dict[str, PageFile]) -> None:
    own = [name for name in files if not name.startswith("ort/") and Path(name).suffix in (".html", ".js", ".css")]
    assert {"index.html", "js/main.js", "js/worker.js", "style.css", "sw.js", "card.html"} <= set(own)
    elsewhere = re.compile(r"""(?:src=|href=|url\(|from |import\()\s*["']?(?:https?:)?//""")
    assert [name for name in set(own) - {"card.html"} if elsewhere.search(files[name].data.decode())] == []
    policy = f'<meta http-equiv="Content-Security-Policy" content="{PAGE_POLICY}">'
    assert all(policy in files[name].data.decode() for name in ("index.html", "card.html"))
    kept = json.loads(re.search(r"FILES = (\[.*\])", files["version.js"].data.decode())[1])  # type: ignore[index]
    assert set(kept) == {"./", *files} - {"sw.js", "version.js"}


def test_page_engine_and_detector_weigh_less_than_eight_megabytes(files: dict[str, PageFile]) -> None:
    assert sum(len(file.data) for file in files.values()) < 8_000_000


def test_the_model_answers_as_the_detector(files: dict[str, PageFile]) -> None:
    import onnxruntime

    images = np.random.default_rng(0).integers(0, 256, (4, 160, 160, 3), dtype=np.uint8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(gzip.decompress(files["model.onnx.gz"].data), options)

    logits, maps = session.run(["logit", "cam"], {"images": images})

    ours = Detector.load(backend="onnx-int8").engine.logits_and_maps(images)
    np.testing.assert_allclose(logits, ours[0], atol=1e-4)
    np.testing.assert_allclose(maps, ours[1], atol=1e-3)


def test_another_detector_is_another_version(files: dict[str, PageFile], tmp_path: Path) -> None:
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert page_files(tmp_path)["version.js"].data == files["version.js"].data
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(f"{text}\nOne line more.\n", encoding="utf-8")

    assert page_files(tmp_path)["version.js"].data != files["version.js"].data


def test_a_strangers_card_stays_text(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "---\nx: y\n---\n# A <b>card</b>\n\n<script>alert(1)</script> [a](javascript:alert(1)) ![b](http://x/y.png)\n"
    )

    made = card_page(tmp_path)

    assert "<script>" not in made
    assert 'href="javascript:' not in made
    assert "<img" not in made
    assert "x: y" not in made
    assert "No model card" in card_page(tmp_path / "nowhere")


def test_links_of_a_card_lead_to_the_web_or_to_places_in_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "[a](https://a.org) [b](HTTP://b.org) [c](#c) <https://d.org> [e](ms-word:ofe|u|x) [f](search-ms:x) [g](tel:1) "
        "[h](h.md) [i](/i) [j](//j.org) <tel:2> <k@l.org> [m][m]\n\n[m]: file:///m\n"
    )

    found = re.findall(r'href="([^"]*)"', card_page(tmp_path).partition("<article>")[2])

    assert found == ["https://a.org", "HTTP://b.org", "#c", "https://d.org"]


def test_stray_files_beside_the_page_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("index.html", ".DS_Store", "index.html~", "main.js.orig"):
        (tmp_path / name).touch()
    monkeypatch.setattr(site, "SOURCE", tmp_path)

    assert [name for name, _ in site._written_by_hand()] == ["index.html"]


@pytest.mark.parametrize(
    "path", ["/", "/js/main.js", "/nothing", "/../pyproject.toml", "/%2e%2e/pyproject.toml", "x://["]
)
def test_every_answer_has_the_headers_and_only_the_page_is_served(address: str, path: str) -> None:
    host = address.removeprefix("http://").strip("/")
    answers = []
    for method in ("GET", "HEAD"):
        connection = http.client.HTTPConnection(host)
        connection.request(method, path)
        response = connection.getresponse()
        answers.append((response.status, response.getheader("Content-Length"), len(response.read())))
        connection.close()
        assert HEADERS.items() <= dict(response.getheaders()).items()
        assert "Python" not in str(response.headers)
    (status, length, read), (head_status, head_length, head_read) = answers
    assert status == head_status == (200 if path in ("/", "/js/main.js") else 404)
    assert int(length or 0) == int(head_length or -1) == read
    assert head_read == 0


def test_a_file_that_the_browser_keeps_is_not_sent_again(address: str) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://").strip("/"))
    answers: list[tuple[int, str, int]] = []
    for etag in ("", '"another"', None):
        connection.request("GET", "/model.onnx.gz", headers={"If-None-Match": answers[0][1] if etag is None else etag})
        response = connection.getresponse()
        answers.append((response.status, str(response.getheader("ETag")), len(response.read())))
    connection.close()
    assert [status for status, _, _ in answers] == [200, 200, 304]
    assert len({etag for _, etag, _ in answers}) == 1
    assert answers[2][2] == 0


def test_a_tab_closed_while_loading_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    ended = Event()

    class Server(PageServer):
        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            ended.set()

    server = Server({"index.html": PageFile("text/html", bytes(50_000_000))}, "127.0.0.1", 0)
    with serving(server):
        tab = socket.create_connection(("127.0.0.1", server.server_port))
        tab.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert tab.recv(99)
        tab.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed with a reset
        tab.close()
        assert ended.wait(20)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_the_page_on_ipv6() -> None:
    with PageServer({}, "::1", 0) as server:
        assert server.address == f"http://[::1]:{server.server_port}/"


def test_a_taken_port_and_a_run_without_graph_are_one_sentence(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = address.rsplit(":", 1)[1].strip("/")
    assert page_command(["--port", port]) == 2
    assert "Try --port 0" in capsys.readouterr().err
    for file in ("detector.json", "README.md"):
        (tmp_path / file).write_bytes((FOLDER / file).read_bytes())
    assert page_command([str(tmp_path), "--port", "0"]) == 2
    assert "--formats onnx-int8" in capsys.readouterr().err


def test_export_writes_a_folder_for_any_host(
    files: dict[str, PageFile], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site"
    assert export(["ready", str(out), "--formats", "web"]) == 0
    written = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert written == {name: file.data for name, file in files.items()}
    assert export(["ready", str(out), "--formats", "web"]) == 2
    assert "holds a page already: --overwrite" in capsys.readouterr().err
    assert export(["ready", str(out), "--formats", "web", "--overwrite"]) == 0
    assert export(["ready", str(tmp_path / "both"), "--formats", "web", "onnx"]) == 2
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize("place", [".", "site", "..", "../other", "../thesis"])
def test_a_page_replaces_no_detector(place: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    for name in ("model", "other"):
        shutil.copytree(FOLDER, tmp_path / name)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years of work")
    before = sorted(tmp_path.rglob("*"))
    assert export([str(model), str(model / place), "--formats", "web", "--overwrite"]) == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_detector_replaces_no_page(tmp_path: Path) -> None:
    for name in (*PAGE_FILES, "detector.json"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="no exported detector"):
        check_request(tmp_path, Request(("onnx",), overwrite=True))


@pytest.mark.parametrize(
    "vain",
    [
        ["--push-to-hub", "me/it"],
        ["--average-weights"],
        ["--license", "mit"],
        ["--input", "float32"],
        ["--images", "."],
        ["--release", "a", "1", "--left-out", ".", "--collections", "a.csv"],
    ],
)
def test_what_has_no_effect_on_a_page_is_refused(
    vain: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(["ready", str(tmp_path / "site"), "--formats", "web", *vain]) == 2
    assert vain[0] in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_a_detector_of_several_views_is_refused(tmp_path: Path) -> None:
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    description = json.loads((tmp_path / "detector.json").read_text())
    description["preprocessing"]["views"] = ["frame", "flip"]
    (tmp_path / "detector.json").write_text(json.dumps(description))

    with pytest.raises(UserError, match="views"):
        page_files(tmp_path)


# In the browser


def test_every_kind_of_file_is_judged_as_predict_judges_it(page: "Page", tmp_path: Path) -> None:
    image = photo()
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = image.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(image.size))
    given = {
        "photo.jpg": as_bytes(image, "JPEG", quality=90),
        "grey.jpg": as_bytes(image.convert("L"), "JPEG"),
        "progressive.jpg": as_bytes(image, "JPEG", progressive=True, subsampling=0),
        "turned.jpg": as_bytes(image, "JPEG", exif=turned),
        "large.jpg": as_bytes(photo(1500, 1), "JPEG"),
        "photo.png": as_bytes(image, "PNG"),
        "palette.png": as_bytes(image.quantize(64), "PNG"),
        "clear.png": as_bytes(clear, "PNG"),
        "tall.png": as_bytes(image.rotate(90, expand=True), "PNG"),
        "photo.webp": as_bytes(image, "WEBP", quality=90),
        "photo.gif": as_bytes(image, "GIF"),
        "photo.bmp": as_bytes(image, "BMP"),
        "lies.png": as_bytes(image, "JPEG"),
        "page.png": as_bytes(Image.new("RGB", (80, 80), "white"), "PNG"),
        "tiny.png": as_bytes(image.resize((20, 16)), "PNG"),
    }
    for name, data in given.items():
        (tmp_path / name).write_bytes(data)

    give(page, given)

    rows = table_of(page)
    for verdict in Detector.load().predict(tmp_path / name for name in given):
        row = rows[Path(verdict.path).name]
        assert verdict.probability is not None
        assert float(row["probability"]) == pytest.approx(verdict.probability, abs=NEAR), verdict.path
        if abs(verdict.probability - Detector.load().calibration.unsure_low) > NEAR:
            assert (row["label"], row["remark"]) == (verdict.label, verdict.remark or ""), verdict.path
        assert row["error"] == ""


def test_hostile_files_get_a_reason_each_and_the_page_goes_on(page: "Page") -> None:
    whole = as_bytes(photo(), "JPEG")
    bomb = bytearray(as_bytes(photo(20), "PNG"))
    bomb[16:24] = (60_000).to_bytes(4) * 2
    given = {
        "cut.jpg": whole[: len(whole) // 2],
        "cut.png": as_bytes(photo(), "PNG")[:-40],
        "damaged.png": as_bytes(photo(), "PNG")[:60] + bytes(400) + b"IEND\xaeB`\x82",
        "empty.jpg": b"",
        "text.jpg": b"hello",
        "page.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "bomb.png": bytes(bomb),
        "cmyk.jpg": as_bytes(photo().convert("CMYK"), "JPEG"),
        "deep.png": as_bytes(Image.fromarray(np.zeros((9, 9), np.uint16)), "PNG"),
        "scan.tif": as_bytes(photo(), "TIFF"),
        "<img src=x onerror=alert(1)>.jpg": b"no",
        "scans.jpg": whole[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 120 + whole[-2:],
        "good.jpg": whole,
    }

    give(page, given)

    rows = table_of(page)
    good = rows.pop("good.jpg")
    assert good["error"] == ""
    assert good["label"]
    assert all(row["error"] and not row["probability"] and not row["label"] for row in rows.values()), rows
    assert "truncated" in rows["cut.jpg"]["error"]
    assert "limit" in rows["bomb.png"]["error"]
    assert page.locator("[onerror]").count() == 0


def test_verdict_heat_and_provenance_of_one_image(page: "Page") -> None:
    metadata = Image.Exif()
    metadata[0x0131] = "Adobe Firefly"
    give(page, {"made.jpg": as_bytes(Image.fromarray(render(AI, 3, size=240, seed=0)), "JPEG", exif=metadata)})

    assert re.search("AI-generated|Real|Unsure|Out of scope", page.inner_text("#label"))
    assert "Adobe Firefly" in page.inner_text("#provenance")
    assert re.search(r"\d+ % AI|[<>] \d+ % AI", page.get_attribute("#scale", "aria-label") or "")
    if page.locator("#heat").is_visible():
        page.locator("#opacity").fill("0")
        assert page.locator("#heat").evaluate("heat => getComputedStyle(heat).opacity") in ("0", 0)
        assert page.locator("#image").evaluate("image => getComputedStyle(image).filter") == "none"
        page.locator("#opacity").fill("100")
        assert page.locator("#image").evaluate("image => getComputedStyle(image).filter") == "grayscale(1)"
    page.click("#worth-button")
    page.locator("#worth-card h2").first.wait_for()
    assert "no proof" in page.inner_text("#worth-sentences")


def test_a_folder_is_sorted_filtered_and_downloaded(page: "Page", tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "deeper").mkdir(parents=True)
    for number in range(50):
        place = folder / "deeper" if number % 5 == 0 else folder
        photo(64, number).save(place / f"{number}.jpg")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "notes.txt").write_text("hello")

    page.set_input_files("#folder", folder)
    page.locator("#count", has_text="51 images").wait_for(timeout=120_000)

    rows = table_of(page)
    assert len(rows) == 51
    assert "holiday/deeper/0.jpg" in rows
    assert [name for name, row in rows.items() if row["error"]] == ["holiday/notes.txt"]
    page.click("[data-sort=probability]")
    shown = [float(row["probability"] or -1) for row in table_of(page).values()]
    assert shown == sorted(shown, reverse=True)
    page.fill("#search", "deeper")
    assert len(table_of(page)) == page.locator("#rows tr").count() == 10
    page.fill("#search", "")
    page.select_option("#filter", "error")
    assert page.locator("#rows tr").count() == 1
    page.click("#clear")
    assert page.locator("#all").is_hidden()


def test_judging_can_be_cancelled(page: "Page") -> None:
    data = as_bytes(photo(), "JPEG")
    choose(page, {f"{n}.jpg": data for n in range(300)})
    page.click("#cancel")

    page.locator("#state", has_text="Ready").wait_for()

    judged = int(page.inner_text("#count").split()[0])
    assert 0 < judged < 300


def test_a_dropped_and_a_pasted_image_are_judged(page: "Page") -> None:
    for kind in ("drop", "paste"):
        page.evaluate(
            """async ([kind, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([Uint8Array.from(bytes)], `${kind}.jpg`, { type: "image/jpeg" }));
                const init = { bubbles: true, cancelable: true };
                document.body.dispatchEvent(kind === "drop"
                    ? new DragEvent("drop", { ...init, dataTransfer: data })
                    : new ClipboardEvent("paste", { ...init, clipboardData: data }));
            }""",
            [kind, list(as_bytes(photo(60), "JPEG"))],
        )
        page.get_by_role("button", name=f"{kind}.jpg").or_(
            page.locator("#name", has_text=f"{kind}.jpg")
        ).first.wait_for()


def test_keyboard_alone_is_enough(page: "Page") -> None:
    give(page, {f"{n}.jpg": as_bytes(photo(80, n), "JPEG") for n in range(3)})
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    for wanted in ("files", "folder", "worth-button", "filter", "search", "download", "clear", "1.jpg"):
        assert wanted in reached, reached
    page.locator("#worth-button").focus()
    page.keyboard.press("Enter")
    assert page.locator("#worth").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#worth").is_hidden()
    page.get_by_role("button", name="2.jpg").focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#name") == "2.jpg"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_nobody_is_kept_out_and_nothing_sticks_out(page: "Page", scheme: Literal["light", "dark"], width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    give(page, {"a.jpg": as_bytes(photo(), "JPEG"), "b.txt": b"no image", "c.jpg": as_bytes(photo(90, 1), "JPEG")})
    found = [axe.Axe().run(page)]
    page.click("#worth-button")
    page.locator("#worth-card h2").first.wait_for()
    found.append(axe.Axe().run(page))

    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    serious = [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for report in found
        for violation in report.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_nothing_moves_while_the_page_loads_and_answers(browser: "Browser", address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries()) "
        "if (!entry.hadRecentInput) window.shift += entry.value; }).observe({ type: 'layout-shift', buffered: true });"
    )
    page.goto(address)
    wait_until_ready(page)
    give(page, {"a.jpg": as_bytes(photo(), "JPEG")})
    page.wait_for_timeout(300)
    shift = page.evaluate("window.shift")
    context.close()

    assert shift < 0.1  # what web.dev calls good


def test_it_works_offline_after_the_first_load(browser: "Browser", files: dict[str, PageFile]) -> None:
    context = browser.new_context()
    page = context.new_page()
    requests: list[str] = []
    context.on("request", lambda request: requests.append(request.url))
    with serving(PageServer(files, "127.0.0.1", 0)) as address:
        page.goto(address)
        wait_until_ready(page)
        page.locator("#version", has_text="works offline").wait_for(timeout=60_000)
    # The server is gone now.
    page.reload()
    wait_until_ready(page)
    give(page, {"a.jpg": as_bytes(photo(), "JPEG")})
    assert page.inner_text("#label")
    page.click("#worth-button")
    page.locator("#worth-card h2").first.wait_for()
    context.close()
    assert {re.sub(r"(//[^/]+/).*", r"\1", url) for url in requests if not url.startswith("blob:")} == {address}


@pytest.mark.parametrize("is_isolated", [False, True])
def test_any_host_is_enough(browser: "Browser", tmp_path: Path, is_isolated: bool) -> None:
    site = tmp_path / "site"
    assert export(["ready", str(site), "--formats", "web"]) == 0

    class Host(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            if is_isolated:
                self.send_header("Cross-Origin-Opener-Policy", "same-origin")
                self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=str(site)))) as address,
        opened(browser, address) as page,
    ):
        assert page.evaluate("typeof SharedArrayBuffer !== 'undefined'") is is_isolated
        give(page, {"a.jpg": as_bytes(photo(), "JPEG")})
        assert page.inner_text("#label")


def test_an_image_that_never_ends_does_not_stop_the_page(browser: "Browser", files: dict[str, PageFile]) -> None:
    slow = dict(files)
    stuck = """
const usual = self.onmessage;
self.onmessage = (event) => {
  if (event.data.file.name === "stuck.jpg") for (;;);
  if (event.data.file.name === "crash.jpg") setTimeout(() => { throw new Error("a crash"); });
  else usual(event);
};
"""
    slow["js/worker.js"] = PageFile("text/javascript", files["js/worker.js"].data + stuck.encode())
    good = as_bytes(photo(), "JPEG")
    with visiting(browser, slow) as page:
        wait_until_ready(page)
        names = ("crash.jpg", "good.jpg", "stuck.jpg", "z.jpg")
        choose(page, dict.fromkeys(names, good))
        page.locator("#count", has_text="2 of 4 judged").wait_for(timeout=60_000)
        page.click("#cancel")
        page.locator("#count", has_text="3 images").wait_for(timeout=60_000)
        rows = table_of(page)
        choose(page, {"next.jpg": good})
        page.locator("#count", has_text="4 images").wait_for(timeout=60_000)
        after = table_of(page)

    assert "a crash" in rows["crash.jpg"]["error"]
    assert rows["good.jpg"]["label"]
    assert rows["stuck.jpg"]["error"] == "cancelled"
    assert after["next.jpg"]["label"] == rows["good.jpg"]["label"]


def test_after_clear_the_next_answer_is_shown(page: "Page") -> None:
    give(page, {"a.jpg": as_bytes(photo(), "JPEG"), "b.jpg": as_bytes(photo(90, 1), "JPEG")})
    choose(page, {"c.jpg": as_bytes(photo(900, 2), "PNG")})
    page.click("#clear")

    give(page, {"d.jpg": as_bytes(photo(80, 3), "JPEG")})

    assert page.inner_text("#name") == "d.jpg"
    assert page.locator("#all").is_hidden()


def test_rows_that_stay_keep_the_focus(page: "Page") -> None:
    give(page, {f"{n}.jpg": as_bytes(photo(60, n), "JPEG") for n in (1, 3)})
    page.get_by_role("button", name="3.jpg").focus()

    choose(page, {"2.jpg": as_bytes(photo(60, 2), "JPEG")})
    page.locator("#count", has_text="3 images").wait_for()

    assert page.evaluate("document.activeElement.textContent") == "3.jpg"
    assert page.locator("#rows .name button, #rows button.name").all_inner_texts() == ["1.jpg", "2.jpg", "3.jpg"]


def test_another_site_at_the_same_address_is_not_hidden(browser: "Browser", files: dict[str, PageFile]) -> None:
    changing = dict(files)
    with visiting(browser, changing) as page:
        page.locator("#version", has_text="works offline").wait_for(timeout=60_000)
        changing.clear()
        changing["index.html"] = PageFile("text/html", b"<h1>Something else</h1>")
        page.reload()
        page.locator("h1", has_text="Something else").wait_for(timeout=60_000)
        assert page.evaluate("caches.keys()") == []


def test_a_browser_that_changes_pixels_gives_no_verdict(browser: "Browser", files: dict[str, PageFile]) -> None:
    noisy = dict(files)
    worker = files["js/worker.js"].data.decode()
    noise = (
        "const read = OffscreenCanvasRenderingContext2D.prototype.getImageData;\n"
        "OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...at) {\n"
        "  const image = read.apply(this, at); image.data[4] ^= 1; return image; };\n"
    )
    noisy["js/worker.js"] = PageFile("text/javascript", (worker + noise).encode())
    with visiting(browser, noisy) as page:
        page.locator(".failed #state").wait_for(timeout=60_000)
        said = page.inner_text("#state")

    assert "fingerprinting" in said


def test_a_newer_version_is_offered(browser: "Browser", files: dict[str, PageFile]) -> None:
    changing = dict(files)
    with visiting(browser, changing) as page:
        page.locator("#version", has_text="works offline").wait_for(timeout=60_000)
        changing["index.html"] = PageFile("text/html", files["index.html"].data.replace(b"<h1>AI", b"<h1>Newer: AI"))
        changing["version.js"] = PageFile(
            "text/javascript", re.sub(rb'VERSION = "\w+"', b'VERSION = "newer"', files["version.js"].data)
        )
        page.reload()
        page.get_by_role("button", name="A newer version").click(timeout=60_000)
        page.locator("h1", has_text="Newer").wait_for(timeout=60_000)
