"""The page of a report: its numbers are those of the CSVs, and it fetches nothing; test_browser.py opens it."""

import re
from functools import partial
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image
from stubs import StubResults, stub_runs

from ganablate.read import report_search
from reports.folder import FolderResults
from reports.inline import inlined
from reports.page import write_page
from reports.report import Form, write_report
from search.store import Store
from spaces import Claim, Study
from spaces.claims import contrasts
from trainers.config import Config

COLUMNS = {"one": {}, "two & <b>": {"loss": "hinge"}}
KINDS = ("statistics", "runs")  # of the tables that a cell opens
ROWS = {"GAN": {}, "=2+3 <i>": {"lr": 1e-3}, "lost": {"lr": 2e-3}}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of two columns, made again from its folder with a page; of one cell a seed has diverged."""
    study = Study("s", Config(), ROWS, COLUMNS, seeds=3, metrics=("fid_final", "fid_best"))
    values = {(row, column): [9.1 + i, 9.7 + i, 9.4 + 1.1 * i] for i, row in enumerate(ROWS) for column in COLUMNS}
    values["lost", "one"] = [8.123456789, None, 10.0]
    runs = stub_runs(values, study.metrics, evaluations=3, seconds=0.1)
    series = {(run, "fid"): [(0, 100.0), (64, 12.0), (128, 9.0)] for run in runs["run_id"]}
    folder = tmp_path_factory.mktemp("page") / "s"
    claim = Claim("M1", "more <b> is better", "section 4", contrasts("s", ("lost", "one"), ("GAN", "one")))
    page = partial(write_page, caption="Mine & <yours>", own=({"M1": claim}, {"s": study}))
    write_report(StubResults(study, runs, series), folder)
    Image.new("RGB", (60, 30)).save(folder / "samples.png")
    write_report(FolderResults(study, folder), folder, Form(page=page))
    return folder


@pytest.fixture(scope="module")
def root(report):
    return ElementTree.fromstring((report / "report.html").read_text())


def numbers(element):
    """All numbers below an element, by what the CSV calls them."""
    return {data.get("class"): float(data.get("value")) for data in element.iter("data")}


def test_every_number_is_that_of_the_csv(report, root):
    table, runs = (pd.read_csv(report / f"{name}.csv", float_precision="round_trip") for name in ("table", "runs"))
    runs = runs.set_index(["row", "column", "seed"])
    cells = list(root.iter("details"))
    assert len(cells) == len(table) == 6
    for cell, line in zip(cells, table.to_dict("records"), strict=True):
        assert [cell.get("data-row"), cell.get("data-column")] == [line["row"].removeprefix("'"), line["column"]]
        statistics, of_runs = (next(each for each in cell.iter("table") if each.get("class") == name) for name in KINDS)
        shown = numbers(statistics)
        assert shown == {name: line[name] for name in shown}
        wanted = [name for name in line if re.match("fid_(final|best)_", name) and "notes" not in name]
        assert set(shown) == {name for name in wanted if pd.notna(line[name])}
        lines = list(of_runs.find("tbody"))
        assert len(lines) == 3
        for run in lines:
            shown = numbers(run)
            kept = runs.loc[(line["row"], line["column"], int(shown.pop("seed")))]
            assert shown == {name: kept[name] for name in shown}
            assert len(shown) == (4 if kept["state"] == "done" else 2)
            assert kept["run_id"] in [code.text for code in run.iter("code")]
        for data in cell.iter("data"):
            assert float(data.text) == pytest.approx(float(data.get("value")), rel=1e-5)


def test_the_table_is_that_of_the_report(report, root):
    body = root.find(".//table[@id='table']/tbody")
    fields = [["".join(cell.itertext()).replace("\xa0", " ") for cell in line] for line in body]
    assert [line[0] for line in fields] == list(ROWS)
    markdown = (report / "table.md").read_text().replace("**", "")
    assert {text for line in fields for text in line[1:]} <= set(re.split(r" *\| *|\n", markdown))
    means = pd.read_csv(report / "table.csv")["fid_final_mean"].tolist()
    shown = [float(line[place].split()[0]) for line in fields for place in (1, 1 + (len(line) - 1) // 2)]
    assert shown == [round(mean, 2) for mean in means]
    links = [link.get("href") for link in body.iter("a")]
    assert links == [f"#{cell.get('id')}" for cell in root.iter("details")]


def test_it_fetches_nothing_and_escapes_all(report, root):
    for element in root.iter():
        for name in ("src", "href"):
            assert element.get(name, "#").startswith(("#", "data:image/"))
        assert element.tag not in ("link", "iframe", "object", "i")
    policy = next(meta for meta in root.iter("meta") if meta.get("http-equiv"))
    assert policy.get("content").startswith("default-src 'none';")
    assert "http" not in re.sub('http-equiv|base64,[^"]*', "", (report / "report.html").read_text())
    assert next(each.text for each in root.iter("p")) == "Mine & <yours>"
    claims = root.find(".//div[@id='claims']//tbody/tr")
    assert [cell.text for cell in claims][:2] == ["M1", "more <b> is better"]
    assert sum(image.get("src").startswith("data:image/svg") for image in root.iter("img")) == 6


def test_settings_that_differ(root):
    lines = {
        line[0].text: [cell.text for cell in line[1:]]
        for line in root.findall(".//table/tbody/tr")
        if line[0].text in ("lr", "loss")
    }
    assert len(set(lines["lr"])) == 3
    assert lines["loss"] == ["nonsaturating", "hinge"] * 3


def test_pictures_are_no_larger_than_they_are_shown(tmp_path):
    Image.effect_noise((3000, 1000), 50).save(tmp_path / "a.png")
    picture = inlined(tmp_path / "a.png", "a")
    assert picture.width == 1500
    assert len(picture.uri) < 1_000_000


def test_a_search_has_no_page(tmp_path):
    with pytest.raises(ValueError, match=r"'search r' is reported as trials and figures: --html, "):
        report_search("search r", None, Store(storage=tmp_path), Form(page=write_page))
