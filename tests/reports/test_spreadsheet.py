"""Tables as CSV."""

import csv

import numpy as np
import pandas as pd
from stubs import StubResults, stub_runs

from reports.spreadsheet import spreadsheet_safe, to_csv, write_csv
from trainers.run_state import RunState


def test_csv_is_raw_and_leads_to_the_runs(results, tmp_path):
    write_csv(to_csv(results), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert float(lines[0]["fid_final_mean"]) == np.mean([10.0, 10.2, 10.1])
    assert lines[0]["run_ids"] == "GAN//0;GAN//1;GAN//2"
    assert lines[2]["row"] == "'=2+3"  # no formula in a spreadsheet
    assert spreadsheet_safe(pd.DataFrame({"row": ["+ both", "-1+2"]}))["row"].tolist() == ["+ both", "'-1+2"]
    assert lines[3]["fid_final_diverged"] == "3"


def test_sources_are_the_runs_behind_the_number(results):
    """A failed or diverged run stands behind no mean."""
    runs = stub_runs({"GAN": [10.0, None, 12.0]})
    runs.loc[2, "state"] = RunState.FAILED
    assert to_csv(StubResults(results.study, runs)).loc[0, "run_ids"] == "GAN//0"
