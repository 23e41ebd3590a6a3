import json

from search.store.view import LONGEST, view_of
from spaces import Search, Study
from trainers.config import Config


def test_a_search_shows_the_params_in_which_its_trials_differ():
    search = Search("r", Config(), "s", lambda trial, base: {})
    trials = [Config(lr=1e-3, batch_size=16), Config(lr=2e-3, batch_size=16)]
    columns = json.loads(view_of(search, trials))["selectedColumns"]
    assert [name for name in columns if name.startswith("params.")] == ["params.`lr`"]


def test_a_view_fits_into_a_tag_with_all_its_columns():
    rows = {"GAN": {}, "lr": {"lr": 1e-3}}
    many = {f"lr {at}": {"lr": 1e-3, "backbone_options": {"width": at}} for at in range(8, 12)}
    for metrics in (("fid_final",), ("fid_final", "fid_best", "fid_late", "fid_untrained")):
        text = view_of(Study("s", Config(), {**rows, **many}, metrics=metrics))
        assert len(text) <= LONGEST
        assert {"params.`lr`", "params.`backbone_options`"} <= {*json.loads(text)["selectedColumns"]}
