"""The table in Markdown."""

from stubs import StubResults, stub_runs

from reports.markdown import to_markdown
from reports.table import as_text
from spaces import Study
from trainers.config import Config


def test_markdown(results):
    lines = to_markdown(as_text(results)).splitlines()
    assert lines[0] == "|  | FID ↓ | best FID ↓ | FID / GAN | lost runs | n |"
    assert "| 10.10 ± 0.10 |" in lines[2]
    assert len({line.count("|") for line in lines[:6]}) == 1


def test_markdown_keeps_its_columns_whatever_the_labels():
    study = Study("s", Config(), rows={"a|b": {}}, columns={"x|y": {}})
    results = StubResults(study, stub_runs({("a|b", "x|y"): [1.0]}))
    lines = to_markdown(as_text(results)).splitlines()[:3]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
