"""Runs and results written by hand, in the form of load_runs and without a store."""

import math

import pandas as pd

from reports.results import Results
from trainers.names import METRICS
from trainers.run_state import RunState

TEXTS = {"protocol": "p", "code_version": "1", "data_digest": "d", "features_digest": "f", "device": "cpu"}
COLUMNS = ["row", "column", "seed", "state", "run_id", "cell_key", *TEXTS, *METRICS, "evaluations", "seconds"]


def stub_runs(values, metrics=("fid_final",), prefix="", **changed):
    """Runs of {cell, or row: [value of a seed, None if it diverged]}, which the metrics named have; the prefix is that
    of run ids, `changed` are fields of all runs."""
    lines = []
    for cell, seeds in values.items():
        row, column = (cell, "") if isinstance(cell, str) else cell
        for seed, value in enumerate(seeds):
            state = RunState.DIVERGED if value is None else RunState.DONE
            line = dict.fromkeys(COLUMNS, math.nan) | TEXTS | {"row": row, "column": column, "seed": seed}
            line |= {"state": state, "run_id": f"{prefix}{row}/{column}/{seed}", "cell_key": "k"}
            line |= dict.fromkeys(metrics, math.nan if value is None else value)
            lines.append(line | changed)
    return pd.DataFrame(lines, columns=COLUMNS)


class StubResults(Results):
    """Results of given runs and evaluations, {(run_id, key): [(images, value)]}."""

    def __init__(self, study, runs, evaluations=None):
        super().__init__(study, None, runs)
        self.evaluations = evaluations or {}

    def histories(self, key, run_ids=None):
        if run_ids is None:
            run_ids = [run_id for group in self.done.values() for run_id in group["run_id"]]
        return {run_id: self.evaluations.get((run_id, key), []) for run_id in run_ids}


def no_results(study):
    """The results of a study of which nothing was run."""
    return StubResults(study, stub_runs({}))
