"""The views of studies and searches in the MLflow UI; what it makes of them is seen in a browser."""

import base64
import json
import zlib

from search.store.view import PACKED, view_of
from spaces import STUDIES, Search, Study
from trainers.config import Config


def unpacked(text):
    """A view as the UI reads it."""
    assert text.startswith(PACKED)
    return json.loads(zlib.decompress(base64.b64decode(text.removeprefix(PACKED))))


def test_a_search_shows_the_params_in_which_its_trials_differ():
    search = Search("r", Config(), "s", lambda trial, base: {})
    trials = [Config(lr=1e-3, batch_size=16), Config(lr=2e-3, batch_size=16)]
    columns = unpacked(view_of(search, trials))["selectedColumns"]
    assert [name for name in columns if name.startswith("params.")] == ["params.`lr`"]


def test_every_study_has_room_in_a_tag_for_all_its_columns_and_charts():
    many = {name: {"lr": 1e-3, name: 2.0} for name in ("r1_gamma", "gp_weight", "zcr_d", "zcr_g")}
    metrics = ("fid_final", "fid_best", "fid_late", "fid_untrained", "fid@lite0", "kid@lite0", "precision@lite0")
    largest = Study("s", Config(), {"GAN": {}, **many}, metrics=metrics)
    for study in (largest, *STUDIES.values()):
        text = view_of(study)
        assert len(text) < 5_000
        assert {f"metrics.`{name}`" for name in study.summary} < {*unpacked(text)["selectedColumns"]}


def test_charts_are_grouped_by_what_the_rows_switch_on():
    rows = {"GAN": {}, "a": {"aw": "normalized"}, "r1": {"r1_gamma": 1.0}}
    study = Study("s", Config(n_images=1_000, batch_size=64), rows)
    view = unpacked(view_of(study))
    sections = [section["name"] for section in view["compareRunSections"]]
    assert sections == ["Scores", "Losses", "aw-loss", "Regularizers", "Samples", "Model metrics"]
    charts = {chart["uuid"]: chart for chart in view["compareRunCharts"]}
    assert (charts["fid"]["scaleType"], charts["fid_std"]["scaleType"]) == ("log", "linear")
    assert charts["aw_cosine"]["metricSectionId"] == "aw-loss"
    assert (charts["samples"]["imageKeys"], charts["samples"]["step"]) == (["samples"], 1_024)
