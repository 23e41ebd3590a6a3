from spaces import RECIPES, SPACES, Search


def search(**changes):
    return Search(
        **{"recipe": "r", "base": RECIPES["ring8_gan"], "space_name": "all", "space": SPACES["all"], **changes}
    )


def test_the_title_tells_what_differs_from_the_defaults():
    assert search().title == "search r"
    assert search(space_name="aw", sampler="gp").title == "search r (aw, gp)"
    assert search(scheduler="none", settings="budget 0.2").title == "search r (none, budget 0.2)"


def test_a_changed_recipe_or_variant_is_another_search():
    kinds = [search(), search(sampler="gp"), search(scheduler="none"), search(base=RECIPES["ring8_aw"])]
    assert len({kind.key for kind in kinds}) == len(kinds)
    assert search().key == search().key


def test_searches_are_judged_by_the_final_metric_of_their_data():
    assert search().metric == "energy_distance_final"
    assert search(base=RECIPES["digits_gan"]).metric == "fid_final"
    assert search().lower_is_better


def test_search_seeds_start_at_10000():
    assert [search().seed(number) for number in (0, 7)] == [10_000, 10_007]
