"""A real Chromium without a screen: pages opened as a member opens them, by a file's path.

From the system: chromium, chromium-driver and a Korean font (apt, needs root);
from PyPI: selenium, into the environment that runs the tests.
"""

import base64
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = ("chromium", "chromium-driver", "fonts-noto-cjk")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's is small, and the browser falls over when it is full
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
)


def missing() -> str | None:
    """What is lacking here, in a few words; None when the browser can start."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if importlib.util.find_spec("selenium") is None:
        lacking.append("selenium")
    return ", ".join(lacking) or None


def install() -> str:
    """Install what is lacking.

    Raises:
        RigMissingError: no rights or no packages.
    """
    from tests.rig.install_rigs import RigMissingError

    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise RigMissingError(f"needs the packages {' '.join(PACKAGES)}, and root to install them")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            subprocess.run(
                ["apt-get", *command], env=environment, check=True, timeout=900, stdout=subprocess.DEVNULL
            )
    if importlib.util.find_spec("selenium") is None:
        pip = [sys.executable, "-m", "pip", "install", "-q", "selenium>=4.20"]
        subprocess.run(pip, check=True, timeout=600)
    version = subprocess.run(["chromium", "--version"], capture_output=True, text=True, check=False)
    return version.stdout.strip()


class Browser:
    """One window; what it logged and asked for is kept for the test."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        """Open a file as by double click, forgetting what was logged before."""
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(page.resolve().as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        """The value of a function body run in the page."""
        return self.driver.execute_script(script, *arguments)

    def click(self, selector: str) -> None:
        """Click as a person does: the element must be visible and not covered."""
        self.driver.find_element("css selector", selector).click()

    def choose(self, name: str, index: int) -> None:
        """Choose an entry of a selector by its place."""
        self.click(f"select[name={name}] option:nth-child({index + 1})")

    def type(self, selector: str, text: str) -> None:
        """Type into a field, over what was there."""
        field = self.driver.find_element("css selector", selector)
        field.clear()
        field.send_keys(text)

    def texts(self, selector: str) -> list[str]:
        """Visible text of every element that matches."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".filter(one => one.getClientRects().length).map(one => one.innerText.trim())"
        )
        return list(self.run(script, selector))

    def complaints(self) -> list[str]:
        """Everything in the console: errors, refused scripts, warnings."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> set[str]:
        """Addresses the page asked for, its own file and inline data left out."""
        own = self.driver.current_url.partition("#")[0]
        asked = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.add(message["params"]["request"]["url"].partition("#")[0])
        return {url for url in asked if url not in (own, "about:blank") and not url.startswith("data:")}

    def alerts(self) -> bool:
        """Whether a dialog is open."""
        from selenium.common.exceptions import NoAlertPresentException

        try:
            self.driver.switch_to.alert.dismiss()
        except NoAlertPresentException:
            return False
        return True

    def resize(self, width: int, height: int = 900, *, mobile: bool = False) -> None:
        """The page as wide as this screen."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile},
        )

    def prefer(self, scheme: str) -> None:
        """The system's brightness: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def printed_pages(self) -> int:
        """How many sheets of A4 the page prints to."""
        wish = {"preferCSSPageSize": True, "printBackground": True}
        pdf = base64.b64decode(self.driver.execute_cdp_cmd("Page.printToPDF", wish)["data"])
        return len(re.findall(rb"/Type\s*/Page\b", pdf))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A fresh browser with a profile of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1200,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.set_capability("unhandledPromptBehavior", "ignore")
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
