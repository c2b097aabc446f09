"""A headless browser that writes down what it loads and complains of."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from tests.waiting import PATIENCE, wait_until
from tests.workflow.conftest import finished_once  # noqa: F401  (a fixture)

AXE = Path(__file__).parents[2] / ".axe/node_modules/axe-core/axe.min.js"


class Browser:
    """A Chromium that is driven by a test."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, page: Path) -> None:
        """Open a file, forgetting what earlier pages loaded."""
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.driver.get(page.resolve().as_uri())
        wait_until(lambda: self.run("return document.readyState") == "complete", str(page))

    def run(self, script: str, *arguments):
        """Run JavaScript in the page."""
        return self.driver.execute_script(script, *arguments)

    def errors(self) -> list[str]:
        """Errors on the console since the page was opened."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """Schemes and hosts that were asked for since the page was opened."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            event["params"]["request"]["url"][:100]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def outside(self) -> list[str]:
        """Requests beyond the page itself."""
        inside = ("file:", "data:", "blob:")
        return [url for url in self.requests() if not url.startswith(inside)]

    def pictures(self) -> list[tuple[float, float, float]]:
        """Of each figure in sight: its height, and its left and right edge."""
        return self.run(
            "return [...document.querySelectorAll('figure svg')].filter(s => s.checkVisibility())"
            ".map(s => { const box = s.getBoundingClientRect();"
            " return [box.height, box.left, box.right] })"
        )

    @staticmethod
    def seen(picture: tuple[float, float, float], width: int) -> bool:
        """Whether a figure is drawn, large enough to be read, from within the screen on."""
        height, left, right = picture
        return height > 100 and 0 <= left < width and right - left > 300

    def violations(self) -> list[str]:
        """Violations of WCAG 2.2 AA and good practice by axe-core; skips where it is not."""
        if not AXE.exists():
            pytest.skip("no axe-core on this machine: make axe")
        self.run(AXE.read_text(encoding="utf-8"))
        return self.driver.execute_async_script(
            "const done = arguments[0]; axe.run().then(found => done(found.violations.map("
            "broken => `${broken.id}: ${broken.nodes.map(node => node.html).join()}`)))"
        )

    def size(self, width: int, height: int) -> None:
        """Give the page a viewport, as a phone or a desk has it."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 640},
        )


@contextlib.contextmanager
def headless():
    """A driver of a headless Chromium; skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    server = shutil.which("chromedriver")
    if binary is None or server is None:
        pytest.skip("no chromium and chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(server))
    # Selenium waits two minutes for an answer, and a busy machine takes longer to open a report.
    executor = driver.command_executor
    executor.client_config.timeout = PATIENCE
    executor._conn = executor._get_connection_manager()
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(PATIENCE)
    driver.implicitly_wait(120)
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def browser():
    """The browser of all tests of a worker."""
    with headless() as driver:
        yield Browser(driver)
