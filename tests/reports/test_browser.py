"""What users see in a browser: a study in the MLflow UI, as `ganablate ui` serves it, and the page of its report."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import unicodedata
from io import BytesIO

import pytest
from PIL import Image

from reports.in_mlflow import show_in_mlflow
from reports.page import write_page
from reports.results import Results
from reports.table import as_text
from search.store import Store
from search.store.delivery import Delivery
from search.store.parents import Parents
from spaces import Study
from trainers.config import Config
from trainers.run_state import RunState

LACKING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.process,
    pytest.mark.long,
    pytest.mark.skipif(bool(LACKING), reason=f"nothing is opened in a browser without {' and '.join(LACKING)}"),
]

ENDS = {"GAN": (100.5, 101.5), "+ aw": (9.25, 9.5), "+ both": (20.5, None)}  # as texts, "9" would come after "20"
IMAGES = (0, 48, 96)
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--window-size=1400,900",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
)
WAIT = 120  # seconds, on a machine that does much else
CARD = "[data-testid='experiment-view-compare-runs-card']"
SECTION = "[data-testid='experiment-view-compare-runs-section-header']"


@pytest.fixture(scope="module")
def study():
    config = Config(n_images=96, eval_every=48, batch_size=16, eval_samples=200)
    rows = {"GAN": {}, "+ aw": {"aw": "normalized"}, "+ both": {"aw": "normalized", "n_coop": 48}}
    return Study("seen", config, rows, seeds=2, metrics=("fid_final", "fid_best"))


@pytest.fixture(scope="module")
def results(study, tmp_path_factory, empty_database):
    """Those of runs that nobody trained, one of which diverged; MLflow shows them."""
    storage = tmp_path_factory.mktemp("browser") / "runs"
    storage.mkdir()
    shutil.copy(empty_database, storage)
    store = Store(storage=storage)
    delivery = Delivery(store)
    for cell in study.cells():
        for seed, end in enumerate(ENDS[cell.row]):
            fill(store, delivery.create(study, cell, seed), end)
    Parents(store).update(study, study.cells())
    show_in_mlflow(study, store)
    return Results(study, store)


def fill(store, run_id, end):
    """Let a run have ended at a FID, or have diverged."""
    from mlflow.entities import Metric, RunTag

    if end is None:
        store.client.log_batch(run_id, tags=[RunTag("state", RunState.DIVERGED)])
        return
    names = ("fid", "loss_real", "loss_fake", "loss_g", "aw_cosine")
    curve = dict(zip(IMAGES, (500.0, 2 * end, end), strict=True))
    metrics = [Metric(name, value, n, n) for n, value in curve.items() for name in names]
    ends = {"fid_untrained": 500.0, "fid_final": end, "fid_best": end, "evaluations": 3}
    metrics += [Metric(name, value, 0, IMAGES[-1]) for name, value in ends.items()]
    store.client.log_batch(run_id, metrics=metrics, tags=[RunTag("state", RunState.DONE)])
    for n in IMAGES:
        store.client.log_image(run_id, Image.new("L", (64, 64), n), key="samples", step=n)


@pytest.fixture(scope="module")
def browser():
    """A window of 1,400 pixels."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def link(results):
    """What `ganablate ui` prints as the study's link, while it serves it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "ganablate", "ui", "--storage", str(results.store.storage), "--port", port]
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        lines = iter(server.stdout.readline, "")
        told = next(line.split(": ", 1)[1].strip() for line in lines if line.startswith("seen: "))
        assert any("running on" in line for line in lines)
        yield told
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.stdout.close()
        server.wait(WAIT)


def go(browser, address):
    """Open an address, and forget what was asked for before."""
    browser.get("about:blank")
    requested(browser), browser.get_log("browser")
    browser.get(address)


def found(browser, selector, text="", count=1):
    """The elements of a selector in which a text stands, once there are so many."""
    from selenium.webdriver.support.ui import WebDriverWait

    def look(_):
        held = [each for each in browser.find_elements("css selector", selector) if text in each.text]
        return held if len(held) >= count else False

    return WebDriverWait(browser, WAIT).until(look, f"{count} of {selector} {text}")


def until(browser, expression):
    """What an expression of JavaScript comes to, once that is something."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, WAIT).until(lambda _: browser.execute_script(f"return {expression}"), expression)


def press(browser, selector):
    """Click what may be covered, or small."""
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def scroll(browser, selector, place):
    """Bring one of the elements of a selector into view: MLflow draws what is seen."""
    browser.execute_script("document.querySelectorAll(arguments[0])[arguments[1]].scrollIntoView()", selector, place)


def texts(browser, selector):
    """What stands in the elements of a selector."""
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(each => each.innerText.trim())", selector
    )


def requested(browser):
    """The addresses of all that was asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]


def table(browser):
    """The MLflow UI's table as far as it is seen: {run name: {column: text}}, both in their order."""
    cells = browser.execute_script("""return [...document.querySelectorAll('.ag-row .ag-cell')].map(cell => [
        Number(cell.parentElement.getAttribute('row-index')), cell.getBoundingClientRect().x,
        cell.getAttribute('col-id').replace(/^.*[.]/, '').replaceAll('`', ''), cell.innerText.trim()])""")
    rows = {}
    for row, _, column, text in sorted(cells):
        rows.setdefault(row, {})[column] = text.rpartition("\n")[2]
    return {cells.pop("Run Name"): cells for cells in rows.values()}


def test_the_mlflow_ui_shows_the_table_its_seeds_and_its_charts(browser, link, study):
    go(browser, link)
    found(browser, ".ag-cell[col-id='metrics.`fid_best`']", count=3)
    shown = table(browser)
    assert list(shown) == list(study.rows)
    columns = [name for name in shown["GAN"] if name in study.summary]
    assert columns[:5] == ["fid_final", "fid_final_std", "n", "lost", "ratio"]
    assert columns == [name for name in study.summary if name in columns]
    assert [cells["fid_final"] for cells in shown.values()] == ["101", "9.375", "20.5"]
    assert [cells["lost"] for cells in shown.values()] == ["0", "0", "1"]

    press(browser, ".ag-row button")
    found(browser, ".ag-row", "seed 1, GAN")
    found(browser, ".ag-cell[col-id='metrics.`fid_best`']", count=5)
    shown = table(browser)
    assert list(shown)[:3] == ["GAN", "seed 0, GAN", "seed 1, GAN"]
    assert [cells["fid_final"] for cells in shown.values()][:3] == ["101", "100.5", "101.5"]

    press(browser, "[data-component-id$='metadata_editor.expand_button']")
    (described,) = found(browser, "table", "+ both")
    assert "101.00 ± 0.71" in described.text
    assert until(browser, "document.querySelector(`img[src^='get-artifact?path=curves.png']`).naturalWidth") > 250

    press(browser, "[value='CHART']")
    found(browser, SECTION, count=6)
    scroll(browser, SECTION, 0)
    found(browser, f"{CARD} .js-plotly-plot", count=2)
    curves = browser.execute_script("""const plot = document.querySelector('.js-plotly-plot');
        return [plot.layout.yaxis.type, plot.data.map(line => [line.name, line.y.length])]""")
    assert curves[0] == "log"
    assert ["GAN", 3] in curves[1]
    sections = [text.split("\n")[0] for text in texts(browser, SECTION)]
    assert sections == ["Scores", "Losses", "aw-loss", "CoopInit", "Samples", "Model metrics"]
    scroll(browser, SECTION, sections.index("Samples"))
    grids = found(browser, f"{CARD} img", count=2)
    assert all("step%2B96%2B" in grid.get_attribute("src") for grid in grids)
    assert all(address.startswith(("http://127.0.0.1:", "data:", "blob:")) for address in requested(browser))


@pytest.fixture(scope="module")
def page(results, browser, tmp_path_factory):
    """The browser on the page of the report."""
    go(browser, write_page(results, as_text(results), [], tmp_path_factory.mktemp("sent")).as_uri())
    return browser


def test_the_page_sorts_by_numbers(page, study):
    (fid, *_) = found(page, "#table thead button", "FID")
    orders = []
    for _ in range(3):
        fid.click()
        orders.append(texts(page, "#table tbody th"))
    assert orders == [["+ aw", "+ both", "GAN"], ["GAN", "+ both", "+ aw"], list(study.rows)]


def test_the_page_opens_a_cell_and_prints_all_that_is_open(page, results):
    from pypdf import PdfReader

    found(page, "#table tbody a")[1].click()
    (cell,) = found(page, "details[open]")
    assert all(run_id in cell.text for run_id in results.cells["+ aw", ""]["run_id"])
    pictures = page.execute_script("""return [...document.querySelectorAll('details[open] img')]
        .map(each => [each.alt, Math.min(each.naturalWidth, each.offsetWidth) > 60])""")
    assert pictures == [
        [told, True] for told in ("Done seeds over training images", *(f"seed 0, {n} images" for n in IMAGES))
    ]

    for _ in range(2):  # closes all, opens all
        press(page, "#open")
    printed = page.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    pages = PdfReader(BytesIO(base64.b64decode(printed["data"]))).pages
    text = unicodedata.normalize("NFKC", "".join(each.extract_text() for each in pages))  # no ligatures
    assert all(run_id in text for runs in results.cells.values() for run_id in runs["run_id"])
    assert not {"↕", "▲", "▼"} & {*text}
    assert "close all" not in text

    paper = int(pages[0].mediabox.width / 72 * 96 - 2 * 14 / 25.4 * 96)  # pixels between its margins
    sheet = {"width": paper, "height": 700, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sheet)
    cut = page.execute_script("""return [...document.querySelectorAll('table, img')]
        .filter(each => each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML)""")
    assert cut == []


def test_the_page_asks_nobody_for_anything(page):
    assert {address.partition(":")[0] for address in requested(page)} <= {"file", "data"}
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
