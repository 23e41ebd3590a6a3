"""Shared by the tests of tables and of claims: results whose runs are written by hand."""

import pandas as pd
import pytest
from stubs import StubResults, stub_runs

import reports.claims
from spaces import Study
from trainers.config import Config

NASTY = "50% & $x_1$ {a}~^\\ #"


@pytest.fixture(autouse=True)
def looks():
    """What a test draws looks as in a report."""
    import matplotlib

    from reports.style import LOOKS

    with matplotlib.rc_context(LOOKS):
        yield


@pytest.fixture
def results():
    """FIDs of three seeds a row, of which one or all may have diverged; the best of 11 evaluations is lower by 1."""
    rows = {"GAN": {}, NASTY: {"lr": 1e-3}, "=2+3": {"lr": 2e-3}, "lost": {"lr": 3e-3}}
    values = {"GAN": [10.0, 10.2, 10.1], NASTY: [9.5, 9.8, 10.1], "=2+3": [8.0, None, 9.0], "lost": [None] * 3}
    runs = stub_runs(values, evaluations=11)
    return StubResults(Study("s", Config(), rows, seeds=3), runs.assign(fid_best=runs["fid_final"] - 1))


@pytest.fixture
def runs_of(monkeypatch):
    """Give a study runs, by its name: a frame, or cells with values of one metric; a ledger's store is {} or what
    StubResults takes for evaluations."""
    frames = {}

    def stub(study, store):
        return StubResults(study, frames.get(study.name, stub_runs({})), store)

    def hold(name, cells, metric="fid_final"):
        frames[name] = cells if isinstance(cells, pd.DataFrame) else stub_runs(cells, [metric], f"{name}/")

    monkeypatch.setattr(reports.claims, "Results", stub)
    return hold
