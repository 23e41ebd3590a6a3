import json
from pathlib import Path

import pytest

from spaces import RECIPES, STUDIES, Study
from spaces.study import diff
from trainers.config import Config


def test_cells_are_rows_times_columns_with_the_columns_on_top():
    study = Study("s", Config(), rows={"a": {"lr": 1.0}, "b": {"lr": 2.0}}, columns={"x": {}, "y": {"lr": 3.0}})
    assert [(c.row, c.column, c.config.lr) for c in study.cells()] == [
        ("a", "x", 1.0),
        ("a", "y", 3.0),
        ("b", "x", 2.0),
        ("b", "y", 3.0),
    ]


@pytest.mark.parametrize("name", STUDIES)
def test_studies_are_sound(name):
    study = STUDIES[name]
    keys = [cell.config.with_data("0" * 16).cell_key for cell in study.cells()]
    twins = {"coopinit-table12": 1}  # the defaults of eta and T stand in both of its rows
    assert len(keys) - len(set(keys)) == twins.get(name, 0)
    assert study.title == name


def test_no_cell_gets_another_key():
    """A run is found by it for ever: studies and cells may be added to cells.json, and none of it may change."""
    golden = json.loads(Path(__file__).with_name("cells.json").read_text())
    assert [name for name in STUDIES if name in golden] == list(golden)
    for name, keys in golden.items():
        found = {cell.label: cell.config.with_data("0" * 16).cell_key for cell in STUDIES[name].cells()}
        assert {label: found.get(label) for label in keys} == keys, name


def test_quick_is_the_recipes():
    keys = {cell.config.cell_key for cell in STUDIES["quick"].cells()}
    assert keys == {RECIPES[f"digits_{kind}"].cell_key for kind in ("gan", "coop", "aw", "coop_aw")}


def test_options_of_the_backbone_change_one_by_one():
    base = Config(backbone_options={"width": 24})
    study = Study("s", base, rows={"a": {"backbone_options": {"d_norm": "none"}}}, columns={"x": {}, "y": {"lr": 1.0}})
    assert {cell.config.backbone_options["width"] for cell in study.cells()} == {24}
    assert {cell.config.backbone_options["d_norm"] for cell in study.cells()} == {"none"}
    both = Study(
        "s", base, rows={"a": {"backbone_options": {"latent": 5}}}, columns={"x": {"backbone_options": {"width": 8}}}
    )
    assert both.cells()[0].config.backbone_options == {"width": 8, "latent": 5}


def test_options_of_the_data_set_are_those_of_row_and_column():
    """Rings of other options are other data, which no column can hold."""
    row, columns = {"dataset_options": {"std": 0.02}}, {"x": {"dataset_options": {"radius": 2}}, "y": {}}
    study = Study("s", "ring8_gan", {"a": row}, columns, metrics=("energy_distance_final",))
    assert [cell.config.dataset_options for cell in study.cells()] == [{"radius": 2, "std": 0.02}, {"std": 0.02}]
    with pytest.raises(
        ValueError, match=r"b / x: a column cannot mix protocols .*\(radius 2, std 0.02\).*\(radius 2\)"
    ):
        Study("s", "ring8_gan", {"a": row, "b": {}}, columns, metrics=("energy_distance_final",))
    assert study.variant(settings={"dataset": "ring8"}).title == "s (dataset ring8)"


def test_a_row_may_lack_columns():
    columns = {"x": {}, "y": {"lr": 3.0}}
    study = Study("s", Config(), rows={"a": {}, "b": {"lr": 2.0}}, columns=columns, only={"b": ["y"]})
    assert [(cell.row, cell.column) for cell in study.cells()] == [("a", "x"), ("a", "y"), ("b", "y")]


def test_changes_make_one_config_of_another():
    for base in (RECIPES["sngan_cifar10"], RECIPES["stylegan2_ada_cifar10"]):
        for other in RECIPES.values():
            assert base.replace(**diff(base, other)) == other


def test_a_changed_study_leaves_out_metrics_that_its_features_lack():
    study = Study("s", "sngan_cifar10", rows={"a": {}}, metrics=("is_best", "fid_final"))
    assert study.variant(seeds=5, budget=0.5).metrics == ("is_best", "fid_final")
    assert study.variant(settings={"features": "lite0"}).metrics == ("fid_final",)
    assert study.variant(tiny=True).metrics == ("fid_final",)


def test_a_varied_study_shows_its_variant():
    study = STUDIES["quick"]
    assert study.variant(seeds=9).title == "quick"
    assert study.variant(budget=0.2).title == "quick (budget 0.2)"
    varied = study.variant(budget=0.2, settings={"batch_size": 32})
    assert varied.title == "quick (batch_size 32, budget 0.2)"
    assert all(cell.config.batch_size == 32 and cell.config.n_images == 19_200 for cell in varied.cells())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": "digit_gan"}, "did you mean 'digits_gan'"),
        ({"rows": {}}, "at least one row"),
        ({"rows": {"bad": {"lr": -1}}}, "bad: lr = -1"),
        ({"metrics": ("fid_fnal",)}, "did you mean 'fid_final'"),
        ({"seeds": 0}, "seeds = 0"),
        ({"settings": {"aw": "off"}}, "aw cannot be set"),
        ({"settings": {"seed": 3}}, "seed cannot be set"),
        ({"rows": {"a": {"seed": 3}}}, "seed cannot be set"),
        ({"metrics": ("modes_final",)}, "there is no modes_final with dataset = .digits. and features = .digits."),
        ({"rows": {"a": {}, "b": {"eval_samples": 10}}}, "cannot mix protocols"),
    ],
)
def test_mistakes_are_named(change, words):
    fields = {"name": "s", "recipe": "digits_gan", "rows": {"a": {"aw": "normalized"}}, **change}
    with pytest.raises(ValueError, match=words):
        Study(**fields)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"batch_size": 64}, "batch_size"),
        ({"backbone_options": {"width": 32}}, "backbone_options.width"),
        ({"n_images": 20_000}, "n_images"),
        ({"dataset": "folder:photos", "features": "raw"}, "dataset"),
        ({"dataset": "cifar10", "features": "raw", "n_train": 5}, "dataset"),
    ],
)
def test_what_tiny_sets_is_refused_beside_it(settings, name):
    with pytest.raises(ValueError, match=rf"^{name} cannot be set beside --tiny"):
        STUDIES["quick"].variant(settings=settings, tiny=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"dataset": "digits", "features": "raw", "n_train": 500},  # which tiny leaves as they are
        {"backbone_options": {"latent": 9}},
        {"ema_halflife": 100, "nce_patches": 8, "batch_size_g": 16},
    ],
)
def test_what_tiny_leaves_or_bounds_can_be_set_beside_it(settings):
    study = STUDIES["quick"].variant(settings=settings, tiny=True)
    config = study.cells()[0].config
    for name in {"n_train", "features", "batch_size_g"} & settings.keys():
        assert getattr(config, name) == settings[name]
    assert "latent" not in settings.get("backbone_options", {}) or config.backbone_options["latent"] == 9


def test_a_setting_is_one_title_however_it_is_typed():
    def title(**settings):
        return STUDIES["quick"].variant(settings=settings).title

    assert title(n_images=1e5) == title(n_images=100_000) == "quick (n_images 100000)"
    assert title(eta=1) == title(eta=1.0) == "quick (eta 1)"
    assert title(lr=1e-3) == "quick (lr 0.001)"
    assert title(aw_delta=0.1, nce_layers=[0, 2]) == "quick (aw_delta 0.1, nce_layers (0, 2))"


def test_more_seeds_move_no_number_of_a_run():
    quick = STUDIES["quick"]
    few, many = quick.variant(seeds=2), quick.variant(seeds=5)
    cells = few.cells()
    numbers = [few.job_number(cell, seed) for seed in range(2) for cell in cells]
    assert numbers == list(range(2 * len(cells)))
    assert numbers == [many.job_number(cell, seed) for seed in range(2) for cell in cells]
    assert [few.job(n) for n in numbers] == [cell.config.replace(seed=seed) for seed in range(2) for cell in cells]
    assert many.job(8).seed == 2
    for absent in (-1, 8):
        with pytest.raises(
            ValueError, match=rf"job = {absent} is none of quick with 2 seeds, which has the jobs 0 to 7"
        ):
            few.job(absent)


def test_numbers_are_of_the_cells_that_there_are():
    study = Study(
        "s", Config(), {"a": {}, "b": {"lr": 1.0}}, {"x": {}, "y": {"beta1": 0.1}}, only={"a": ["y"]}, seeds=2
    )
    assert [study.job_number(cell, 1) for cell in study.cells()] == [3, 4, 5]
    assert [study.job(n) for n in range(3)] == [cell.config for cell in study.cells()]
