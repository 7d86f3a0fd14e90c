"""The two pictures of the page in the README: `python -m benchmarks.page_pictures CHROMIUM`.

The images on them are the project's own, drawn as for the demo.
"""

import argparse
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, FilePayload, sync_playwright

from benchmarks.page import FLAGS
from rexnet_ai_real.data.scenes import render
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.page.server import PageServer
from rexnet_ai_real.page.site import page_files

FOLDER: Final = Path("docs")
SCENES: Final = ((AI, 21), (REAL, 1), (AI, 6), (REAL, 10), (AI, 3))
"""Label and number of each image that is shown, the first of them large."""


def main() -> None:
    """Take both."""
    parser = argparse.ArgumentParser(description="Take the pictures of the page.")
    parser.add_argument("chromium", help="the browser's program, such as /usr/bin/chromium")
    options = parser.parse_args()
    with sync_playwright() as playwright, PageServer(page_files(None), "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        _take(browser, server.address, FOLDER / "page_desktop.png", (1100, 940), is_dark=False)
        _take(browser, server.address, FOLDER / "page_phone.png", (390, 940), is_dark=True)
        browser.close()
        server.shutdown()


def _take(browser: Browser, address: str, file: Path, size: tuple[int, int], *, is_dark: bool) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if is_dark else "light")
    page.goto(address)
    page.locator("#state", has_text="Ready").wait_for(timeout=120_000)
    page.set_input_files("#files", [_scene(place, *scene) for place, scene in enumerate(SCENES, 1)])
    page.locator("#count", has_text=f"{len(SCENES)} images").wait_for(timeout=120_000)
    page.locator("#version", has_text="works offline").wait_for(timeout=60_000)
    page.evaluate("window.scrollTo(0, 0)")
    taken = Image.open(BytesIO(page.screenshot())).convert("RGB")
    taken.quantize(128).save(file, optimize=True)
    page.close()


def _scene(place: int, label: int, number: int) -> FilePayload:
    buffer = BytesIO()
    Image.fromarray(render(label, number, size=480, seed=0)).save(buffer, "PNG")
    return FilePayload(name=f"scene {place}.png", mimeType="image/png", buffer=buffer.getvalue())


if __name__ == "__main__":
    main()
