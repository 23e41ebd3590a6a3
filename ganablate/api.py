"""What the command does, as functions: `import ganablate as ga`.

A study is a `Study`, a name of `ganablate list`, `file.py[:NAME]` or, to read, one that `ganablate import` made. Every
function takes the command's selectors, as `Selectors` has them: `ga.load_runs("quick", seeds=10, storage="runs")`.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from ganablate.selection import Selectors, find_results, select, select_to_make
from spaces import Study
from trainers.config import Config
from trainers.messages import printable, spare_letters

if TYPE_CHECKING:
    import pandas as pd

    from reports.table import TextTable
    from search.store import Store
    from search.tune.cluster import Cluster
    from trainers.networks.layers import Generator

Which = Literal["final", "best"]


def load_runs(study: Study | str, **where: Unpack[Selectors]) -> pd.DataFrame:
    """All runs of a study's cells and seeds that the store holds, one a row, in the study's order.

    Columns: row, column, seed, state, run_id, cell_key; protocol, code_version, data_digest, features_digest,
    own_code_digest, device, torch; metrics as fid_final and fid_best (those of evaluations that a run lacks are NaN),
    of scores after training as fid@lite0 with fid@lite0_protocol; evaluations, seconds (training and scoring); lost.
    Raises ValueError for a study or a variant that there is not, if the store does not answer, and if a column has
    scores by several protocols and `samples` does not tell which.
    """
    return find_results(study, **where).runs


def load_curves(study: Study | str, key: str | None = None, **where: Unpack[Selectors]) -> pd.DataFrame:
    """What evaluations of a study's done runs say by a key of theirs, one evaluation a row: row, column, seed, run_id,
    images (real ones shown to D), value.

    `key` is "fid", "loss_real", "seconds" or another number of rows.jsonl; None is the score that runs are judged by.
    Empty where no run has the key. Raises ValueError as `load_runs`.
    """
    import pandas as pd

    results = find_results(study, **where)
    judged_by = [config.metric for config in results.configs.values()] or list(results.study.metrics)
    histories = results.histories(key or judged_by[0])
    lines = [
        {**run, "images": images, "value": value}
        for runs in results.done.values()
        for run in runs[["row", "column", "seed", "run_id"]].to_dict("records")
        for images, value in histories[run["run_id"]]
    ]
    return pd.DataFrame(lines, columns=["row", "column", "seed", "run_id", "images", "value"])


@dataclass(frozen=True)
class Table:
    """An ablation table: `print` shows it as the command does, a notebook as HTML.

    frame: raw numbers, one line a cell, as table.csv has them: statistics, comparisons with the first row, run ids.
    text: the fields as they are printed, which of them are bold, and the caption.
    """

    frame: pd.DataFrame
    text: TextTable

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        from reports.screen import show

        written = StringIO()
        show(self.text, Console(file=written))
        return written.getvalue()

    def _repr_html_(self) -> str:
        cells = self.text.cells.map(_escaped).rename(index=_escaped, columns=_escaped)
        marks = self.text.marks.set_axis(cells.index).set_axis(cells.columns, axis=1)
        shown = cells.where(~marks, "<b>" + cells + "</b>")
        return f"{shown.to_html(escape=False)}<p>{_escaped(self.text.caption)}</p>"


def _escaped(text: object) -> str:
    return html.escape(printable(text))


def table(
    study: Study | str, *, beside: str | None = None, same_protocol: str | None = None, **where: Unpack[Selectors]
) -> Table:
    """A study's ablation table by its runs in the store. `beside` is an imported study (NAME, or NAME:KEY of the metric
    that stands for the study's first) whose rows stand below; `same_protocol`, by what both were scored, in words that
    the caption has. Raises ValueError as `load_runs`, if runs cannot stand in one table, and if there is no store."""
    from reports.spreadsheet import to_csv
    from reports.table import as_text

    results = find_results(study, beside=beside, same_protocol=same_protocol, **where)
    if results.store:
        results.store.require()
    return Table(to_csv(results), as_text(results))


@dataclass(frozen=True)
class Run:
    """A done run: its id in MLflow, its folder, and the Config that it trained. A notebook shows its last grid."""

    run_id: str
    folder: Path
    config: Config

    @property
    def evaluations(self) -> pd.DataFrame:
        """One evaluation a row: images, state, scores, running means of the steps' statistics, seconds of training so
        far, eval_seconds, logged_at (Unix time)."""
        import pandas as pd

        from trainers.run_folder import read_evaluations

        return pd.DataFrame(read_evaluations(self.folder))

    @property
    def grid(self) -> Path | None:
        """The picture of its last samples; None if it was removed."""
        return max((self.folder / "samples").glob("*.png"), default=None)

    def generator(self, which: Which = "final") -> Generator:
        """The generator that it keeps, as load_generator gives it."""
        from trainers.scoring import load_generator

        return load_generator(self.folder, which).eval()

    def _repr_html_(self) -> str:
        content = self.grid.read_bytes() if self.grid else b""
        return f'<img alt="samples of {self.run_id}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def load_run(study: Study | str, row: str, column: str | None = None, seed: int = 0, **where: Unpack[Selectors]) -> Run:
    """The done run of a cell and a seed; the column may be left out where the row has one alone. Raises ValueError as
    `load_runs`, for a cell that there is not, and if that seed is not done."""
    from reports.model_card import find_done

    chosen, store = select(study, **where)
    done = find_done(chosen, store, row, column, seed)
    store.folders.download(done.run_id, all_of_it=True)
    return Run(done.run_id, done.folder, done.cell.config.replace(seed=seed))


def load_generator(
    study: Study | str,
    row: str,
    column: str | None = None,
    seed: int = 0,
    which: Which = "final",
    **where: Unpack[Selectors],
) -> Generator:
    """The generator that a done run keeps of its last or its best evaluation, a torch module on the CPU in eval mode,
    built without the data.

    `generator(source, labels)` gives samples [n, *shape] in float32: images [n, C, H, W] in [-1, 1], or 2-D points
    [n, 2]. `generator.sample_source(n, torch.Generator())` draws the source [n, ...], noise of whatever shape the
    backbone has; of a backbone that translates, the source is images [n, C, H, W] in [-1, 1] of domain A. `labels` are
    classes, [n] int64, which only a conditional run looks at.

    Raises ValueError as `load_run`, and if the run's folder does not keep the weights, or they cannot be read.
    """
    return load_run(study, row, column, seed, **where).generator(which)


def score(
    study: Study | str,
    features: str,
    scores: Sequence[str] | None = None,
    which: Which = "final",
    *,
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float | None = None,
    address: str | None = None,
    verbose: bool = False,
    **where: Unpack[Selectors],
) -> dict[str, str]:
    """Score the generators that a study's done runs keep on a feature net, by scores as ("fid", "precision") or all;
    returns the state of each run that was scored, by label. What was scored before is not scored again.

    Raises ValueError as `load_runs`, for scores that do not fit, data that changed and generators that were removed;
    KeyboardInterrupt after Ctrl-C, ConnectionError if Ray or the store is away: the same call goes on.
    """
    from trainers.score_request import requested

    spare_letters()
    request = requested(features, None if scores is None else ",".join(scores), where.get("samples"), which)
    chosen, store = select_to_make(study, **where)
    store.require()
    from search.score import score_study
    from search.tune.cluster import Cluster

    states = score_study(chosen, store, [request], Cluster(cpus_per_trial, gpus_per_trial, address, verbose))
    _show_in_mlflow(chosen, store)
    return states


def run(
    study: Study | str,
    *,
    retry_failed: bool = False,
    new_data: bool = False,
    models: bool = False,
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float | None = None,
    address: str | None = None,
    verbose: bool = False,
    **where: Unpack[Selectors],
) -> dict[str, str]:
    """Make a study's missing runs on Ray, on this machine or the cluster at `address`, and score those that are done by
    what the study lists; returns the state of each run that was made, by label ("done", "diverged", "failed: ...").
    With `models` the final generator of each done run is logged in MLflow as a model of its run, each once.

    Raises ValueError as `load_runs`, and before anything starts if a cell cannot be trained; KeyboardInterrupt after
    Ctrl-C, ConnectionError if Ray or the store is away: the same call goes on.
    """
    chosen, store = select_to_make(study, **where)
    from search.tune.cluster import Cluster

    cluster = Cluster(cpus_per_trial, gpus_per_trial, address, verbose)
    return make_runs(chosen, store, cluster, retry_failed=retry_failed, new_data=new_data, models=models)


def make_runs(study: Study, store: Store, cluster: Cluster, **options: bool) -> dict[str, str]:
    """What `run`, and `search` for its winners, do with a chosen study: make and score its runs, and bring its table in
    MLflow up to date. Returns, takes and raises as `run_and_score`."""
    from search.score import run_and_score

    spare_letters()
    states = run_and_score(study, store, cluster, **options)
    _show_in_mlflow(study, store)
    return states


def _show_in_mlflow(study: Study, store: Store) -> None:
    from reports.in_mlflow import show_in_mlflow  # what that needs would delay the first run

    show_in_mlflow(study, store)
