"""Draw the pictures of the README: from two finished studies, and the rules.

    make pictures

Needs chromium and chromedriver for the picture of the report, graphviz for the rules.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
RESULTS = ROOT / "results"
FIGURE = "base_vs_tuned"
STUDIES = {"published": "released_scores", "smollm2-135m-instruct": "real_model"}
"""study -> name of its picture"""
WIDTH, HEIGHT = 1200, 750
COLOURS = 64
"""that are enough for a page of text, and a third of the bytes"""


def photograph(page: Path, picture: Path) -> None:
    """The first screen of a report, as a browser shows it."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.implicitly_wait(30)
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get(page.as_uri())
        driver.find_element("css selector", ".cards .card")
        driver.save_screenshot(str(picture))


def shrink(picture: Path) -> None:
    """Write a picture again with few colours."""
    with Image.open(picture) as image:
        few = image.convert("RGB").quantize(COLOURS)
    few.save(picture, optimize=True)


def draw_rules(picture: Path) -> None:
    """The pocket study's rules as SVG: the figures as one, direct dependencies only."""
    command = [sys.executable, "-m", "snakemake", "--rulegraph", "--configfile"]
    rules = subprocess.run(
        [*command, ROOT / "config/pocket.yaml"],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    ).stdout
    figures = re.findall(r"^\s*(\d+)\[label = \"plot_", rules, re.M)
    for number in figures[1:]:
        rules = re.sub(rf"^\s*{number}\[.*\n", "", rules, flags=re.M)
        rules = re.sub(rf"\b{number}\b(?= ->)|(?<=-> ){number}\b", figures[0], rules)
    rules = re.sub(r"plot_\w+", "plot_… (one rule per module)", rules)
    direct = subprocess.run(
        ["tred"], input=rules, check=True, text=True, capture_output=True
    ).stdout
    subprocess.run(["dot", "-Tsvg", "-o", picture], input=direct, check=True, text=True)


if __name__ == "__main__":
    draw_rules(IMAGES / "rulegraph.svg")
    photograph(RESULTS / "published/report.html", IMAGES / "report.png")
    for study, picture in STUDIES.items():
        shutil.copyfile(RESULTS / study / f"figures/{FIGURE}.png", IMAGES / f"{picture}.png")
    for name in ("report", *STUDIES.values()):
        shrink(IMAGES / f"{name}.png")
