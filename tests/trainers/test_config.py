import json
import math
from types import FunctionType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import RECIPES
from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.names import BACKBONES, DATASETS, FEATURES, LOSSES, METRICS, SCORES
from trainers.user_code import load_object, resolve

EMBEDDED = [name for name, row in DATASETS.items() if row.origin == "embedded"]
TORCHVISION = [name for name, row in DATASETS.items() if row.origin == "torchvision"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lr": -1}, ["lr", "-1", "greater than 0"]),
        ({"lr": math.inf}, ["lr", "inf", "finite"]),
        ({"lr": math.nan}, ["lr", "nan", "finite"]),
        ({"n_images": True}, ["n_images", "True", "number"]),
        ({"n_images": 10.5}, ["n_images", "10.5"]),
        ({"n_cop": 5}, ["n_cop", "n_coop"]),
        ({"loss": "hing"}, ["loss", "'hing'", "'hinge'"]),
        ({"dataset": "mnits"}, ["dataset", "mnits", "digits"]),
        ({"n_coop": 200, "n_images": 100}, ["n_coop", "200", "n_images", "100"]),
        ({"coop": "joint"}, ["coop", "n_coop"]),
        ({"aw_alpha1": 0.9}, ["aw_alpha1", "0.9", "aw_alpha2"]),
        ({"dataset": "ring8"}, ["dcgan", "ring8", "mlp"]),
        ({"dataset": "ring8", "backbone": "mlp", "features": "digits"}, ["features", "ring8", "raw"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"dataset": "mine:faces"}, ["features", "mine:faces", "features=lite0"]),
        ({"dataset": "mnist"}, ["features", "'auto'", "mnist", "features=lite0"]),
        ({"dataset": "folder:photos"}, ["features", "folder:photos", "features=lite0"]),
        ({"dataset": "folder:"}, ["dataset", "'folder:'", "path"]),
        ({"resolution": 32}, ["resolution", "32", "digits", "folder:PATH"]),
        ({"dataset": "ring8", "backbone": "mlp", "resolution": 32}, ["resolution", "ring8", "zip:PATH"]),
        ({"dataset": "a:b", "features": "raw", "resolution": 32}, ["resolution", "a:b", "cifar10"]),
        ({"resolution": 32}, ["zip:PATH", *TORCHVISION]),
        ({"dataset": "pair:"}, ["dataset", "'pair:'", "path"]),
        ({"dataset": "digits_outlines"}, ["'dcgan'", "digits_outlines", "pair of domains", "cut"]),
        ({"dataset": "pair:x", "features": "raw", "backbone": "mlp"}, ["'mlp'", "pair:x", "cut"]),
        ({"backbone": "cut"}, ["'cut'", "'digits'", "pair:PATH", "digits_outlines"]),
        ({"dataset": "folder:x", "features": "raw", "backbone": "cut"}, ["'cut'", "folder:x", "pair:PATH"]),
        ({"nce_weight": 1.0}, ["nce_weight", "1.0", "'dcgan'", "cut"]),
        ({"nce_layers": []}, ["nce_layers", "[]", "ascending"]),
        ({"nce_layers": [4, 0]}, ["nce_layers", "[4, 0]", "ascending"]),
        ({"nce_layers": [0, -1]}, ["nce_layers.1", "-1", "greater"]),
        ({"nce_layers": "0,4"}, ["nce_layers", "0,4", "tuple"]),
        ({"dataset": "mnist", "features": "raw", "resolution": 0}, ["resolution", "0", "greater"]),
        ({"dataset": "mnist", "features": "raw", "center_crop": False}, ["center_crop", "False", "resolution"]),
        ({"features": "inception", "eval_samples": 9}, ["eval_samples = 9", "'inception'", "at least 10"]),
        ({"dataset": "ring8", "backbone": "mlp", "features": "inception"}, ["features = 'inception'", "use raw"]),
        (
            {"dataset": "mnist", "features": "raw", "resolution": 32, "center_crop": "no!"},
            ["center_crop", "no!", "boolean"],
        ),
    ],
)
def test_a_mistake_is_one_sentence(fields, words):
    with pytest.raises(ValueError) as caught:
        Config(**fields)
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


def test_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Config().lr = 1.0


def test_cell_key_leaves_the_seed_out_and_knows_every_other_field():
    assert Config(seed=7).cell_key == Config().cell_key
    assert Config(lr=1).cell_key == Config(lr=1.0).cell_key
    changes = [
        ("dataset", "grid25"),
        ("n_train", 5),
        ("backbone_options", {"width": 8}),
        ("loss", "hinge"),
        ("n_coop", 64),
        ("aw", "normalized"),
        ("r1_gamma", 1.0),
        ("threads", 2),
    ]
    mlp = {"backbone": "mlp"}
    keys = {Config(**{**mlp, name: value}).cell_key for name, value in changes}
    assert len(keys | {Config(**mlp).cell_key}) == len(changes) + 1


def test_keys_of_all_recipes_stay():
    """A key names runs for ever: a default may never change, and a new field's default means "as before"."""
    assert {name: config.with_data("0" * 16).cell_key for name, config in RECIPES.items()} == RECIPE_KEYS


RECIPE_KEYS = {
    "ring8_gan": "4bfd304a998d8101",
    "ring8_coop": "4b1f15102437cb9e",
    "ring8_aw": "428ba33d5b9c6342",
    "ring8_coop_aw": "7e33388d77fdbd95",
    "grid25_gan": "3572952eca29a2e4",
    "grid25_coop": "eb4ee7111c1ed760",
    "grid25_aw": "2e8beb2090f57b80",
    "grid25_coop_aw": "a36360c11bfe1ae0",
    "ring8_paper_gan": "f20887623406a92f",
    "ring8_paper_coop": "41c86e6679b1e782",
    "ring8_paper_aw": "ea83bd746cc55fa7",
    "ring8_paper_coop_aw": "84c5e7a37c625432",
    "ring8_deep_gan": "496d7ba23a86a4b3",
    "ring8_deep_coop": "4f8300198508da9b",
    "ring8_deep_aw": "6e8ed5f1411b3d00",
    "ring8_deep_coop_aw": "b8178b0234622678",
    "digits_gan": "bd6b1b6d79fc73dc",
    "digits_coop": "af7b996caedc7cd7",
    "digits_aw": "febb58518b19b414",
    "digits_coop_aw": "8e99f908062f1018",
    "digits_wide_gan": "aab70e95e7fa2c16",
    "digits_wide_coop": "ff5b0aa9dbe654dc",
    "digits_wide_aw": "5970d093fdd0404d",
    "digits_wide_coop_aw": "6dac26c5cec51fa2",
    "images_gan": "44868905aa830ecb",
    "images_coop": "d3ce9fa2461c68d0",
    "images_aw": "1a7608488cb644ca",
    "images_coop_aw": "9dfbd2a54970c85b",
    "dcgan_cifar10": "3eef90a57635a7b9",
    "dcgan_cifar10_coop": "78f26616840b5f3c",
    "dcgan_cifar10_aw": "1fc6407db1e7865a",
    "dcgan_cifar10_coop_aw": "fa30f3dcc7535ea2",
    "sngan_cifar10": "5d2850868c002488",
    "sngan_cifar10_coop": "cde509c3a50edb7e",
    "sngan_cifar10_aw": "88a85b0d0dba9e61",
    "sngan_cifar10_coop_aw": "3fc7535264bd050c",
    "sngan_cifar100": "905b1d5d870e017f",
    "sngan_cifar100_coop": "a5c4fcaa273c994e",
    "sngan_cifar100_aw": "a47485f1c6bea690",
    "sngan_cifar100_coop_aw": "96d4ae220cbfb3ce",
    "sngan_stl10": "b4a5dd4aae5297bf",
    "sngan_stl10_coop": "3240d1ad27129327",
    "sngan_stl10_aw": "1bcc4b0ebaa2d75e",
    "sngan_stl10_coop_aw": "a9c839333b696f44",
    "autogan_cifar10": "5e24964d07b1f71b",
    "autogan_cifar10_coop": "87415ffa1f04630b",
    "autogan_cifar10_aw": "e71f5be9468d7c66",
    "autogan_cifar10_coop_aw": "66bb83d1ccbb849a",
    "autogan_stl10": "a8bdeb0edd43866b",
    "autogan_stl10_coop": "87dfcf5c1b3925e6",
    "autogan_stl10_aw": "e4d69e6788765b9d",
    "autogan_stl10_coop_aw": "bee41512b463bba9",
    "biggan_cifar10": "0853d790a62dc20d",
    "biggan_cifar10_coop": "aec6d0cd36df7eee",
    "biggan_cifar10_aw": "d281ce5e6d762fa2",
    "biggan_cifar10_coop_aw": "50a86b4fd4ad2881",
    "biggan_cifar100": "78c72ba53ec5f830",
    "biggan_cifar100_coop": "40c2622d8bb717d1",
    "biggan_cifar100_aw": "2dbb2bcffe96e0fe",
    "biggan_cifar100_coop_aw": "ab841f80acebc395",
    "stylegan2_cifar10": "8c609cd35cd6502e",
    "stylegan2_cifar10_coop": "76f5982a92b61cf4",
    "stylegan2_cifar10_aw": "0f09ee8660f84c0b",
    "stylegan2_cifar10_coop_aw": "39955a6171d5d156",
    "stylegan2_ada_cifar10": "ea1e681b6ed864d5",
    "stylegan2_ada_cifar10_coop": "c795eafa4d7cb720",
    "stylegan2_ada_cifar10_aw": "4dfc352fda192b8f",
    "stylegan2_ada_cifar10_coop_aw": "9c549d35089b9453",
    "cut_horse2zebra": "1349daf938a73ed8",
    "cut_horse2zebra_coop": "cf4fafcf0ab282f0",
    "cut_horse2zebra_aw": "54cdaf14f89420a8",
    "cut_horse2zebra_coop_aw": "c1c4c1ba440603a1",
    "cut_cat2dog": "31d2616f0ec23fe0",
    "cut_cat2dog_coop": "bc6d06834c2ad88f",
    "cut_cat2dog_aw": "e0c1d31f8e459ec8",
    "cut_cat2dog_coop_aw": "0e6bc81f1e910f06",
    "cut_digits": "c4d428d1f272ee77",
    "cut_digits_coop": "159ddac43e07623b",
    "cut_digits_aw": "c12ad46711b84c63",
    "cut_digits_coop_aw": "983abbdf67a16acc",
}


@given(st.floats(1e-3, 1e3))
def test_scaled_scales_budgets_alone(factor):
    config = Config(n_images=10_000, n_coop=1_000, eval_every=500)
    scaled = config.scaled(factor)
    for name in ("n_images", "n_coop", "eval_every"):
        assert getattr(scaled, name) == max(1, round(getattr(config, name) * factor))
    rest = {"n_images", "n_coop", "eval_every"}
    assert scaled.model_dump(exclude=rest) == config.model_dump(exclude=rest)


def test_scaled_keeps_off_off_and_refuses_nonsense():
    assert Config().scaled(0.5).n_coop == 0
    for factor in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="budget"):
            Config().scaled(factor)


def test_replace_checks_anew():
    with pytest.raises(ValueError, match="n_coop"):
        Config().replace(n_coop=10**9)
    assert Config().replace(lr=1e-3) == Config(lr=1e-3)


@pytest.mark.parametrize("table", [DATASETS, FEATURES, LOSSES, BACKBONES], ids=["data", "features", "loss", "nets"])
def test_every_name_resolves(table):
    for name in table:
        assert resolve(table, name) is not None


def test_everything_that_rows_name_is_there():
    """Functions of scores and of regularizers, and the fields of these."""
    for score in SCORES.values():
        assert bool(score.compute) == (score.takes != "steps")
        assert not score.compute or load_object(score.compute, FunctionType)
    for name, row in Config.regularizers().items():
        assert load_object(row.penalty, FunctionType)
        assert Config.model_fields[name].default == 0
        assert {row.interval, row.coop} - {None} <= set(Config.model_fields)


def test_references_are_the_data():
    for name in EMBEDDED:
        data = load_dataset(Config(dataset=name, backbone="cut" if DATASETS[name].kind == "pair" else "mlp"))
        assert len((data.pair.test_targets if data.pair else data).examples) == DATASETS[name].reference
    for name, row in DATASETS.items():
        config = Config(dataset=name, backbone="cut" if row.kind == "pair" else "mlp", features="raw")
        if row.kind == "pair":
            assert f"at most 10,000, against all {row.reference:,} of test B of {name}" in config.protocol
            continue
        assert f"all {row.reference:,} training examples of {name}" in config.protocol
        assert "10,000 generated" in config.protocol


def test_protocols_of_the_embedded_data_stay():
    assert Config().protocol == (
        "FID on digits features, 10,000 generated samples against all 1,797 training examples of digits, no resize"
    )
    assert Config(dataset="ring8", backbone="mlp").protocol == (
        "energy distance of 10,000 generated points and 10,000 fresh ones of ring8; a mode is covered by 1% of the "
        "generated within 10 of its standard deviations, high quality is within that of any mode; Frechet distance on "
        "raw features, 10,000 generated samples against all 100,000 training examples of ring8, no resize"
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "against all training examples of photos, no resize"),
        ({"resolution": 32}, "training examples of photos at 32x32 (Lanczos, centre crop), no resize"),
        ({"resolution": 32, "center_crop": False}, "photos at 32x32 (Lanczos, stretched), no resize"),
        ({"resolution": 32, "features": "lite0"}, "at 32x32 (Lanczos, centre crop), resized to 64x64"),
        ({"dataset": "cifar10", "features": "lite0"}, "all 50,000 training examples of cifar10, resized to 64x64"),
    ],
)
def test_a_protocol_tells_every_resize(fields, words):
    assert Config(**{"dataset": "folder:photos", "features": "raw", **fields}).protocol.endswith(words)


def test_a_network_that_needs_another_size_says_how(photos):
    from trainers.networks.dcgan import build

    with pytest.raises(ValueError, match=r"power-of-two side from 16, not \(1, 28, 28\); set resolution"):
        build(Config(dataset="mnist", features="raw"), (1, 28, 28), 10)


def test_every_data_set_of_the_table_is_embedded_or_torchvisions():
    assert set(DATASETS) == {*EMBEDDED, *TORCHVISION}
    assert all(row.reference for row in DATASETS.values())


def test_metrics_are_named_after_their_row():
    """But for the inception score, whose published name is short; what runs are judged by has a final."""
    short = {"inception_score": "is"}
    for name, metric in METRICS.items():
        assert name == f"{short.get(metric.key, metric.key)}_{metric.when}"
    for config in (*RECIPES.values(), Config(dataset="cifar10", features="inception")):
        assert METRICS[f"{config.metric}_final"].key == config.metric == config.metric_keys[0]
        assert {metric.key for metric in METRICS.values()} & set(config.metric_keys)


def test_inception_alone_gives_is_and_kid():
    keys = ("fid", "inception_score", "inception_score_std", "kid", "kid_std")
    assert Config(dataset="cifar10", features="inception").metric_keys == keys
    for features in ("auto", "raw", "lite0", "mine:net"):
        assert Config(features=features).metric_keys == ("fid",)
    assert {metric.key for metric in METRICS.values()} & set(keys) == {"fid", "inception_score", "kid"}


def test_protocol_of_inception():
    config = Config(dataset="cifar10", features="inception", eval_samples=50_000)
    fid = (
        "FID on inception features, 50,000 generated samples against all 50,000 training examples of cifar10, in 8 "
        "bits, resized to 299x299 as TensorFlow 1 does"
    )
    kid = "KID is the mean over 100 subsets of at most 1,000 a side, out of at most 10,000 training examples"
    assert config.protocol == f"{fid}; IS is the mean over 10 parts; {kid}"
    assert "subsets of at most 400 a side" in config.replace(eval_samples=400).protocol


@pytest.mark.parametrize("recipe", RECIPES)
def test_tiny_is_one_rule(recipe):
    """Every recipe becomes a run of seconds with the same methods on."""
    config, tiny = RECIPES[recipe], RECIPES[recipe].tiny()
    assert tiny.n_images == 2_048
    assert tiny.n_images / tiny.eval_every == 4
    assert tiny.eval_samples == 500
    assert tiny.batch_size == 32
    options = tiny.backbone_options
    assert 0 < max(options[name] for name in options if name.endswith(("width", "channels"))) <= 16
    assert bool(tiny.n_coop) == bool(config.n_coop)
    assert tiny.n_coop <= tiny.n_images / 2 or not config.n_coop
    assert (tiny.aw, tiny.loss, tiny.coop) == (config.aw, config.loss, config.coop)
    assert tiny.dataset in EMBEDDED
    assert tiny.is_paired == config.is_paired
    assert tiny.tiny() == tiny


def test_tiny_keeps_data_and_networks_of_a_users_module():
    config = Config(dataset="mine:cats", features="raw", backbone="mine:build", backbone_options={"width": 512})
    assert (config.tiny().dataset, config.tiny().features) == ("mine:cats", "raw")
    assert config.tiny().backbone_options == {"width": 512}
    assert Config(dataset="folder:cats", resolution=64, features="lite0").tiny().dataset == "digits"
    assert Config(dataset="pair:cats", features="lite0", backbone="cut").tiny().dataset == "digits_outlines"


def test_a_config_of_a_pair_comes_back_from_json():
    config = RECIPES["cut_digits"]
    assert Config(**json.loads(config.model_dump_json())) == config
    assert config.non_defaults()["nce_layers"] == [0, 4, 8, 12]
    assert config.replace(nce_layers=[0, 4, 8, 12, 16]).non_defaults().keys() == config.non_defaults().keys() - {
        "nce_layers"
    }


def test_another_backbone_starts_from_its_own_options():
    config = Config(backbone="dcgan", backbone_options={"width": 24, "latent": 8})
    assert config.replace(backbone_options={"width": 4}).backbone_options == {"width": 4, "latent": 8}
    assert config.replace(backbone="mlp").backbone_options == {}
    assert config.replace(backbone="mlp", backbone_options={"depth": 3}).backbone_options == {"depth": 3}
    assert config.replace(lr=1e-3).backbone_options == config.backbone_options


def test_options_of_a_data_set_are_in_key_and_protocol():
    """However they are spelled; another data set starts from its own."""
    config = Config(dataset="ring8", backbone="mlp", dataset_options={"radius": 2})
    assert config.dataset_options == {"radius": 2}
    both = config.replace(dataset_options={"std": 0.02})
    assert both.dataset_options == {"radius": 2, "std": 0.02}
    assert both == Config(dataset="ring8", backbone="mlp", dataset_options={"std": 0.02, "radius": 2.0})
    assert len({each.cell_key for each in (config, both, config.replace(dataset="grid25"))}) == 3
    assert both.cell_key == Config(**json.loads(both.model_dump_json())).cell_key
    assert both.protocol.count("of ring8 (radius 2, std 0.02)") == 2  # of the energy and the Frechet distance
    assert both.data_spelling == "ring8 (radius 2, std 0.02)"
    assert config.replace(dataset="grid25").dataset_options == {}
    assert both.tiny().dataset_options == both.dataset_options
    for wrong in ({"radius": [2]}, {"radius": 1e300}, 5):
        with pytest.raises(ValueError, match="dataset_options"):
            Config(dataset="ring8", backbone="mlp", dataset_options=wrong)


def test_deterministic_algorithms_are_no_other_run():
    """As another machine is none; what torch has none for is refused."""
    config = Config(backbone="autogan", gp_weight=1.0)
    assert config.replace(deterministic=True).cell_key == config.cell_key
    assert config.replace(deterministic=True).acting().deterministic
    assert config.replace(deterministic=True).non_defaults()["deterministic"] is True
    for fields, layer in (({"ada": "bg"}, "bilinear sampling"), (RECIPES["cut_digits"].model_dump(), "reflected")):
        with pytest.raises(ValueError, match=f"deterministic = True: .*{layer}.*leave one of them off") as told:
            Config(**{**fields, "deterministic": True})
        assert "\n" not in str(told.value)
