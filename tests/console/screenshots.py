"""Makes docs/images: `python -m tests.console.screenshots` sends the samples to a local stack and pictures it."""

import html
import io
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from emulator.process import Stack
from event_inference import Client
from samples.outcomes import MESSAGE, expected
from tests.console.browsing import Browser

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
WIDTH, HEIGHT = 1280, 800
TERMINAL = """<!doctype html><meta charset=utf-8><style>
body { margin: 0; padding: 22px 26px; background: #171b24; color: #dfe4ee; }
pre { margin: 0; font: 14.5px/1.55 "DejaVu Sans Mono", monospace; white-space: pre; }
b { color: #93abff; font-weight: 400; }</style><pre>%s</pre>"""
COMMANDS = (
    "einf submit samples/images --wait",
    "einf status texts/praise.txt",
    "einf results texts --below 0.98",
    "einf rejected bad/cut-off.jpg",
    "einf recommend --inputs 10000",
)
SLOW = ("series/", "tables/", "manifests/")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / ".local") as stack:
        stack.start()
        client = Client(local=stack.data)
        names = [name for name in expected() if name != MESSAGE]
        quick = [name for name in names if not name.startswith(SLOW)]
        random.Random(4).shuffle(quick)
        for wave in ([name for name in names if name.startswith(SLOW)], quick):
            handles = [client.submit(ROOT / "samples" / name, name=name) for name in wave]
            list(client.wait(handles, timeout=120))
        browser = Browser(stack.addresses["services"]["console"])
        try:
            console(browser, client)
            terminal(browser, stack)
        finally:
            browser.driver.quit()


def console(browser: Browser, client: Client) -> None:
    browser.resize(WIDTH, HEIGHT, sharp=2)
    browser.open("/")
    browser.until(lambda: len(browser.driver.find_elements("css selector", ".list tbody tr")) > 30, "all rows")
    browser.until(lambda: "reading" not in browser.find(".list").text, "all answers")
    picture(browser, "console")
    browser.open(f"/input?document={client.handle('series/daily-sales.csv').document_name}")
    browser.find(".chart canvas")
    picture(browser, "console-forecast")
    browser.open(f"/input?document={client.handle('tables/many-reviews.csv.gz').document_name}")
    browser.driver.execute_script("document.querySelector('.graphs').open = true; way.scrollIntoView()")
    picture(browser, "console-steps")
    browser.resize(WIDTH, HEIGHT, sharp=2, dark=True)
    browser.open("/review")
    browser.find(".review")
    browser.until(lambda: browser.driver.execute_script("return document.images[0].naturalWidth > 0"), "the image")
    picture(browser, "console-review")


def terminal(browser: Browser, stack: Stack) -> None:
    """What einf prints, as a terminal shows it."""
    environ = {**os.environ, "EINF_LOCAL": str(stack.data), "COLUMNS": "104", "NO_COLOR": "1"}
    parts = []
    for line in COMMANDS:
        command = [sys.executable, "-m", "event_inference", *line.split()[1:]]
        finished = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        parts.append(f"<b>$ {html.escape(line)}</b>\n{html.escape(finished.stdout.rstrip())}")
    browser.resize(900, 900, sharp=2)
    browser.driver.get("data:text/html," + quote(TERMINAL % "\n\n".join(parts)))
    height = browser.driver.execute_script("return document.body.scrollHeight")
    browser.resize(900, height, sharp=2)
    picture(browser, "einf")


def picture(browser: Browser, name: str) -> None:
    shot = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")
    file = IMAGES / f"{name}.webp"
    shot.save(file, "WEBP", quality=80, method=6)
    print(f"{file.relative_to(ROOT)}  {shot.width}x{shot.height}  {file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
