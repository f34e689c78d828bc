"""A browser on the console, which remembers its errors and every address that it asked for."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

AXE, AXE_SHA256 = "axe-core@4.14.1", "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
BUILD = Path(__file__).parents[2] / "build" / "axe"

DROP = """
const [name, content, type] = arguments, transfer = new DataTransfer();
transfer.items.add(new File([content], name, {type}));
document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
"""
RUN_AXE = """
const done = arguments[arguments.length - 1];
const told = node => `${node.target.join(" ")}: ${node.failureSummary}`;
axe.run(document, {resultTypes: ["violations"]}).then(found => done(found.violations.map(
  each => ({id: each.id, impact: each.impact, nodes: each.nodes.map(told)}))));
"""


class Browser:
    """Chromium on a console.

    Attributes:
        driver: Selenium's own.
        url: of the console.
    """

    def __init__(self, url: str) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver") or "")
        self.driver, self.url = webdriver.Chrome(options, service), url
        self.driver.set_script_timeout(60)
        self.resize(1280, 900)

    def resize(self, width: int, height: int, *, dark: bool = False, sharp: int = 1) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": sharp, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    def find(self, selector: str, text: str = "", within_s: float = 30) -> WebElement:
        """The first element with this text, once it is there."""

        def found() -> WebElement | None:
            elements = self.driver.find_elements(By.CSS_SELECTOR, selector)
            return next((element for element in elements if text in (element.text or "")), None)

        element = self.until(found, f"{selector} {text}".strip(), within_s)
        assert isinstance(element, WebElement)
        return element

    def until(self, condition: Callable[[], Any], what: str, within_s: float = 30) -> Any:
        from selenium.common.exceptions import StaleElementReferenceException

        give_up = time.monotonic() + within_s
        while time.monotonic() < give_up:
            try:
                if value := condition():
                    return value
            except StaleElementReferenceException:  # the page has changed meanwhile
                continue
            time.sleep(0.05)
        raise AssertionError(f"{what} did not appear. The page:\n{self.driver.find_element(By.TAG_NAME, 'main').text}")

    def drop(self, name: str, content: str, media_type: str = "text/plain") -> None:
        self.driver.execute_script(DROP, name, content, media_type)

    def press(self, key: str) -> None:
        self.driver.find_element(By.TAG_NAME, "body").send_keys(key)

    def errors(self) -> list[str]:
        """The console's errors and warnings since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]

    def requests(self) -> set[str]:
        """The origins of all requests since the last call."""
        sent = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                sent.add("/".join(message["params"]["request"]["url"].split("/")[:3]))
        return sent

    def violations(self, axe: str) -> list[dict[str, Any]]:
        """What axe-core finds serious on the present page."""
        self.driver.execute_script(axe)
        found: list[dict[str, Any]] = self.driver.execute_async_script(RUN_AXE)
        return [each for each in found if each["impact"] in ("serious", "critical")]


def axe_source() -> str:
    """axe-core, fetched from the npm registry once; the test is skipped where that is not possible."""
    archive = BUILD / "axe-core-4.14.1.tgz"
    if not archive.is_file():
        BUILD.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        command = [npm or "npm", "pack", AXE, "--silent"]
        if npm is None or subprocess.run(command, cwd=BUILD, capture_output=True, check=False).returncode:
            pytest.skip("SKIPPED LOUDLY: axe-core could not be fetched with npm pack")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == AXE_SHA256
    with tarfile.open(archive) as package:
        file = package.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode()
