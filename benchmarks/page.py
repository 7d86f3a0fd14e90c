"""The page in a browser against `predict`: `python -m benchmarks.page CHROMIUM FOLDER...`.

CHROMIUM is the browser's program. Every image goes through both; what differs, how much goes over the wire and how long
a first verdict and the next ones take is written into docs/page.md between marks.
"""

import argparse
import csv
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Final

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, sync_playwright

from benchmarks.marked import write_between_marks
from benchmarks.side_by_side import machine
from rexnet_ai_real import Detector
from rexnet_ai_real.detector.backends import INT8
from rexnet_ai_real.images.walk import image_files
from rexnet_ai_real.markdown import markdown_table
from rexnet_ai_real.page.server import PageServer
from rexnet_ai_real.page.site import PageFile, page_files
from rexnet_ai_real.progress import track

FILE: Final = Path("docs/page.md")
FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
_WATCH: Final = """
    window.answered = [];
    document.addEventListener("DOMContentLoaded", () => {
        const note = () => window.answered.push(performance.now());
        new MutationObserver(note).observe(document.getElementById("one"), { attributeFilter: ["hidden"] });
    });
"""
"""Notes when the first verdict is shown, in milliseconds since the page was asked for."""
_ANOTHER: Final = """
    (count) => new Promise((resolve) => {
        const input = document.getElementById("files");
        const start = performance.now();
        const said = document.getElementById("count");
        new MutationObserver(() => said.textContent === `${count} images` && resolve(performance.now() - start))
            .observe(said, { childList: true, characterData: true, subtree: true });
        const again = new DataTransfer();
        again.items.add(window.photo);
        input.files = again.files;
        input.dispatchEvent(new Event("change"));
    })
"""
"""Chooses the same file again, and gives the milliseconds until it is judged."""
AT_ONCE: Final = 64
"""Images given to the page together."""


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description="Compare the page with predict.")
    parser.add_argument("chromium", help="the browser's program, such as /usr/bin/chromium")
    parser.add_argument("folders", nargs="+", type=Path)
    options = parser.parse_args()
    files = page_files(None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        with _served(files) as address:
            rows = [_compared(folder, _answers(browser, address, folder)) for folder in options.folders]
            times = _times(browser, address)
        browser.close()
    text = "\n\n".join((_differences(rows), _sizes(files), times, machine(2)))
    write_between_marks(FILE, "measured", text, title="The page")


@contextmanager
def _served(files: dict[str, PageFile]) -> Iterator[str]:
    with PageServer(files, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.address
        server.shutdown()
        thread.join()


def _ready(browser: Browser, address: str) -> Page:
    """The page in a profile of its own, whose cache is empty."""
    page = browser.new_context().new_page()
    page.goto(address)
    page.locator("#state", has_text="Ready").wait_for()
    return page


def _answers(browser: Browser, address: str, folder: Path) -> dict[str, tuple[float | None, str]]:
    """Of every file: the page's probability, or why it gives none."""
    page = _ready(browser, address)
    files = [Path(file.path) for file in image_files([folder])]
    found: dict[str, tuple[float | None, str]] = {}
    starts = range(0, len(files), AT_ONCE)
    for start in track(starts, f"The page on {folder.name}", len(starts)):
        some = files[start : start + AT_ONCE]
        # By whole paths: the same name may stand in several folders.
        page.set_input_files(
            "#files", [FilePayload(name=str(file), mimeType="", buffer=file.read_bytes()) for file in some]
        )
        page.locator("#count", has_text=f"{len(some)} images").wait_for(timeout=300_000)
        with page.expect_download() as download, TemporaryDirectory() as place:
            page.click("#download")
            table = Path(place) / "verdicts.csv"
            download.value.save_as(table)
            with table.open(newline="", encoding="utf-8") as opened:
                rows = {row["path"]: row for row in csv.DictReader(opened)}
        for file in some:
            row = rows[str(file)]
            found[str(file)] = (float(row["probability"]) if row["probability"] else None, row["error"])
        page.click("#clear")
    page.context.close()
    return found


def _compared(folder: Path, page: dict[str, tuple[float | None, str]]) -> list[str]:
    detector = Detector.load(backend=INT8.name)
    theirs = {verdict.path: verdict for verdict in detector.predict([folder])}
    both = [(name, p, theirs[name].probability) for name, (p, _) in page.items()]
    gaps = np.array([abs(here - there) for _, here, there in both if here is not None and there is not None])
    labels = sum(
        (here >= detector.calibration.threshold) != (there >= detector.calibration.threshold)
        for _, here, there in both
        if here is not None and there is not None
    )
    refused = sum(here is None and there is not None for _, here, there in both)
    alone = sum(here is not None and there is None for _, here, there in both)
    return [
        f"`{folder.name}`",
        f"{len(both):,}",
        *(f"{np.quantile(gaps, share):.4f}" for share in (0.5, 0.99)),
        f"{gaps.max():.4f}",
        f"{(gaps > 0.01).sum()}",
        f"{labels}",
        f"{refused}",
        f"{alone}",
    ]


def _differences(rows: list[list[str]]) -> str:
    heading = ["images", "n", "median", "99 %", "largest", "above 0.01", "other side of the threshold"]
    heading += ["refused here alone", "judged here alone"]
    return (
        "Difference between the probability of the page and that of `predict --backend onnx-int8`, on the same files:"
        "\n\n" + markdown_table(heading, rows)
    )


def _sizes(files: dict[str, PageFile]) -> str:
    packed = {name: len(file.data) for name, file in files.items()}
    parts = {
        "engine": [name for name in packed if name.startswith("ort/")],
        "detector": ["model.onnx.gz", "facts.json", "card.html"],
    }
    parts["page"] = [name for name in packed if not any(name in names for names in parts.values())]
    rows = [[part, f"{sum(packed[name] for name in names) / 1e6:.2f}"] for part, names in parts.items()]
    rows += [["all", f"{sum(packed.values()) / 1e6:.2f}"]]
    return "MB over the wire, whatever the host compresses:\n\n" + markdown_table(["", "MB"], rows)


def _times(browser: Browser, address: str) -> str:
    with TemporaryDirectory() as place:
        photo = Path(place) / "photo.jpg"
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 256, (75, 100, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((4000, 3000), Image.Resampling.BICUBIC).save(photo, quality=92)
        firsts, nexts = [], []
        for _ in range(5):
            page = browser.new_context().new_page()
            page.add_init_script(_WATCH)
            page.add_init_script(
                "document.addEventListener('change', ({ target }) => { window.photo = target.files?.[0]; }, true);"
            )
            page.goto(address, wait_until="domcontentloaded")
            page.set_input_files("#files", photo)  # at once: it is judged as soon as the detector is there
            page.locator("#one").wait_for(timeout=120_000)
            firsts.append(page.evaluate("window.answered[0]") / 1000)
            for count in range(2, 6):
                nexts.append(page.evaluate(_ANOTHER, count) / 1000)
            page.context.close()
    return "A JPEG of 12 megapixels, from opening the page with an empty cache and from choosing the file:\n\n" + (
        markdown_table(
            ["", "seconds, median", "lowest", "highest"],
            [
                [name, f"{statistics.median(values):.2f}", f"{min(values):.2f}", f"{max(values):.2f}"]
                for name, values in (("first verdict", firsts), ("next ones", nexts))
            ],
        )
    )


if __name__ == "__main__":
    main()
