import pytest

from grasp_bench.errors import UserError
from grasp_bench.planners import make_planner
from grasp_bench.presets import PRESETS, Preset
from grasp_bench.request import choose_sweep
from grasp_bench.sweep import planner_spec
from grasp_bench.tasks import HORIZONS


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_preset_names_planners_settings_and_horizons_that_there_are(preset):
    labels = [planner_spec(name, changes).label for name, changes in preset.configurations]
    assert len(set(labels)) == len(labels)
    assert set(preset.horizons) <= set(HORIZONS)


def test_each_row_of_the_ablation_changes_one_thing():
    published, *rows = PRESETS["ablation"].configurations
    assert make_planner(published[0], published[1]) == make_planner("grasp", {})
    assert all(len(changes) == 1 for _, changes in rows)


def test_a_preset_s_horizons_and_settings_may_be_replaced():
    changed = ["grasp.sync=none", "cem.sigma=2"]
    sweep = choose_sweep("regression", None, "80", changed)
    assert sweep.horizons == [80]
    chosen = {name: dict(changes) for name, changes in sweep.configurations}
    assert chosen["cem"] == {"samples": "100", "elites": "10", "sigma": "2"}
    assert chosen["grasp"]["sync"] == "none"
    assert choose_sweep("short", None, None, []).horizons == [10, 20, 30]


def test_presets_that_are_compared_over_time_or_change_one_thing_ignore_tuned_settings():
    assert {name for name, preset in PRESETS.items() if preset.pinned} == {"ablation", "regression"}


def test_named_planners_are_a_sweep():
    chosen = choose_sweep(None, "gd, grasp", "40,60", ["gd.lr=2"])
    assert chosen == Preset([("gd", {"lr": "2"}), ("grasp", {})], [40, 60])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None, "40", []), "either --planners or --preset"),
        (("paper", "gd", "40", []), "either --planners or --preset"),
        ((None, "gd", None, []), "needs --horizons"),
        (("papper", None, None, []), "unknown preset 'papper'.*paper"),
        (("short", None, None, ["mppi.samples=3"]), "with one of the planners"),
    ],
)
def test_what_no_sweep_can_be_made_of_is_said_in_a_sentence(arguments, message):
    with pytest.raises(UserError, match=message):
        choose_sweep(*arguments)
