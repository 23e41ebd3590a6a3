"""The run whose generator is asked for, and what whoever gets that generator should know: its model card."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from reports.results import Results
from reports.table import mean_and_spread, with_arrow
from search.plan import state_of
from search.store import Store
from search.store.frames import PROTOCOL
from search.store.image_sets import resolved
from search.store.queries import seed_runs
from spaces import Cell, Study
from trainers.messages import counted, did_you_mean, printable
from trainers.names import BACKBONES, METRICS, metric_named
from trainers.run_folder import FORM, generator_path
from trainers.run_state import RunState
from trainers.score_request import Which

FILES = ("config.json", "rows.jsonl", "provenance.json", FORM)  # of a run folder, beside the generator


class DoneRun(NamedTuple):
    """A done run of a cell of a study, its folder, and which of its generators is asked for."""

    study: Study
    cell: Cell
    seed: int
    run_id: str
    folder: Path
    which: Which = "final"

    @property
    def title(self) -> str:
        """Study, cell and seed in words."""
        return f"{self.study.title}: {self.cell.label}, seed {self.seed}"


def find_done(study: Study, store: Store, row: str, column: str | None, seed: int) -> DoneRun:
    """The done run of this seed of a cell. Raises ValueError for labels that the study lacks, several columns and none
    named, a seed of which the store has no run, and a run that is not done."""
    if row not in study.rows:
        raise ValueError(f"row {row!r} is not in study {study.title!r}; {did_you_mean(row, study.rows)}")
    store.require()
    study = resolved(study, store)
    cells = {cell.column: cell for cell in study.cells() if cell.row == row}
    if column is None and len(cells) > 1:
        raise ValueError(f"row {row!r} has several columns; name one of: {', '.join(sorted(cells))}")
    if column is not None and column not in cells:
        raise ValueError(f"row {row!r} has no column {column!r}; {did_you_mean(column, cells)}")
    cell = next(iter(cells.values())) if column is None else cells[column]
    runs = {held: run for (_, held), run in seed_runs(store, [cell.config]).items()}
    if seed not in runs:
        there = f"it has the seeds {', '.join(map(str, sorted(runs)))}" if runs else "nor of any other"
        raise ValueError(f"{study.title}: the store has no run of {cell.label}, seed {seed}; {there}")
    run = runs[seed]
    done = DoneRun(study, cell, seed, run.run_id, store.folder(run.run_id))
    if (state := state_of(store, run.guard, run)) != RunState.DONE:
        raise ValueError(f"{done.title} is {state}, not done")
    return done


def find_kept(study: Study, store: Store, row: str, column: str | None, seed: int, which: str = "final") -> DoneRun:
    """The done run that `find_done` gives, its files fetched where they lie in an object store. Raises ValueError as
    that does, and for a run that does not keep the generator."""
    if which not in ("final", "best"):
        raise ValueError(f"which = {which!r} should be final or best")
    kept = find_done(study, store, row, column, seed)._replace(which="best" if which == "best" else "final")
    name = generator_path(kept.folder, kept.which).name
    if not all([store.folders.fetch(kept.run_id, file) for file in (*FILES, name)][-1:]):
        raise ValueError(f"{kept.title}: {store.folders.location(kept.run_id)} keeps no {name}; it was removed")
    return kept


def model_card(kept: DoneRun, store: Store) -> str:
    """A model card in Markdown: what was trained on which data, its scores beside mean and standard deviation of its
    cell, as the study's table has them, and by what protocol. Raises ValueError as the table."""
    study, config = kept.study, kept.cell.config.acting()
    results = Results(study, store)
    wide = results if kept.seed < study.seeds else Results(study.variant(seeds=kept.seed + 1), store)
    run = wide.runs[wide.runs["run_id"] == kept.run_id].iloc[0]
    fields = [f"`{name}` {printable(value)}" for name, value in config.non_defaults().items()]
    judged = METRICS[f"{config.metric}_best"].label
    evaluation = "last evaluation" if kept.which == "final" else f"{judged} among its evaluations"
    return "\n".join(
        [
            *_head(kept),
            f"# {printable(kept.title)}",
            "",
            f"The generator of the {evaluation} of one run of an ablation study by ganablate {run['code_version']}.",
            "No licence is named here: whoever publishes it names one, which the data have to allow.",
            "",
            "## Data and training",
            "",
            f"- Data: {printable(config.data_name)}, digest `{run['data_digest']}`.",
            f"- Networks: {printable(config.backbone)}{', conditional' if config.conditional else ''}.",
            f"- Budget: {config.n_images:,} training images, with torch {run['torch']} on {printable(run['device'])}.",
            f"- Settings that differ from ganablate's defaults: {', '.join(fields)}.",
            "",
            "## Scores",
            "",
            *_scores(results, run, kept),
            "",
            *_remarks(results, run, kept),
        ]
    )


def _head(kept: DoneRun) -> list[str]:
    """What model hubs read."""
    config = kept.cell.config
    row = BACKBONES.get(config.backbone)
    tasks = {"pair": "image-to-image", "images": "unconditional-image-generation"}
    task = tasks.get(config.data_source.kind) if not config.conditional else None
    names = ["gan", "ganablate", *([config.backbone] if row else [])]
    return ["---", "library_name: pytorch", *([f"pipeline_tag: {task}"] if task else []), f"tags: {names}", "---", ""]


def _scores(results: Results, run: pd.Series, kept: DoneRun) -> list[str]:
    """A line a metric of the study: the run's own value, and its cell's."""
    lines = ["|  | this run | mean ± std of its cell | n |", "| --- | --- | --- | --- |"]
    for name in results.study.metrics:
        statistics, metric = results.table.loc[(kept.cell.row, kept.cell.column), name], results.study.metric(name)
        value = float(run[name])
        own = "–" if math.isnan(value) else f"{value:.{metric.decimals}f}"
        cell = mean_and_spread(statistics.to_dict(), metric)
        lines.append(f"| {with_arrow(metric)} | {own} | {cell} | {statistics['n']:g} |")
    return lines


def _remarks(results: Results, run: pd.Series, kept: DoneRun) -> list[str]:
    """What the numbers mean, and what to beware of."""
    study = results.study
    protocols = [kept.cell.config.protocol]
    protocols += [str(run[f"{metric}{PROTOCOL}"]) for metric in study.metrics if metric_named(metric).features]
    lost = int(results.table.loc[(kept.cell.row, kept.cell.column), (study.metrics[0], "lost")])
    lines = [
        f"Mean and sample standard deviation over the n of {study.seeds} training seeds that are done and not lost.",
        f"Protocol: {printable('; '.join(filter(None, protocols)))}.",
    ]
    if lost:
        told = counted(lost, "run of the cell is", "runs of the cell are")
        lines.append(f"{told} lost: diverged, or ended no better than untrained.")
    if run["lost"]:
        lines.append("This run is one of them.")
    return [*lines, f"Run {kept.run_id}, cell `{kept.cell.config.cell_key}`.", ""]
