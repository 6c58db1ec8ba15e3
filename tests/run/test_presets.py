import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.planners import make_planner, planner_spec
from grasp_bench.run.config import choose_sweep
from grasp_bench.run.presets import PRESETS, Preset
from grasp_bench.tasks.task_set import SHIPPED


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_preset_names_planners_settings_and_horizons_that_there_are(preset):
    labels = [planner_spec(name, changes).label for name, changes in preset.planners]
    assert len(set(labels)) == len(labels)
    assert set(preset.horizons) <= set(SHIPPED["eval"].horizons)


def test_each_row_of_the_ablation_changes_one_thing():
    published, *rows = PRESETS["ablation"].planners
    assert make_planner(published[0], published[1]) == make_planner("grasp", {})
    assert all(len(changes) == 1 for _, changes in rows)


def test_a_preset_s_horizons_and_settings_may_be_replaced():
    changed = ["grasp.sync=none", "cem.sigma=2"]
    sweep = choose_sweep("regression", None, "80", changed)
    assert sweep.horizons == [80]
    chosen = {name: dict(changes) for name, changes in sweep.planners}
    assert chosen["cem"] == {"samples": "100", "elites": "10", "sigma": "2"}
    assert chosen["grasp"]["sync"] == "none"
    assert choose_sweep("short", None, None, []).horizons == [10, 20, 30]


def test_presets_that_are_compared_over_time_or_change_one_thing_ignore_tuned_settings():
    assert {name for name, preset in PRESETS.items() if preset.pinned} == {"ablation", "regression"}


def test_named_planners_are_a_sweep():
    chosen = choose_sweep(None, "gd, grasp", "40,60", ["gd.lr=2"])
    assert chosen == Preset([("gd", {"lr": "2"}), ("grasp", {})], [40, 60])


def test_a_planner_of_a_file_has_hyperparameters_of_its_own():
    source = "my.planners/mine.py:Mine"
    chosen = choose_sweep(None, f"gd,{source}", "40", [f"{source}.lr=3"])
    assert chosen.planners == [("gd", {}), (source, {"lr": "3"})]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((None, None, "40", []), "--planners"),
        (("paper", "gd", "40", []), "--preset"),
        ((None, "gd", None, []), "--horizons"),
        ((None, ",", "40", []), "','"),
        ((None, "gd", "40,x", []), "40,x"),
        (("papper", None, None, []), "'papper'.*paper"),
        (("short", None, None, ["mppi.samples=3"]), "mppi.samples=3"),
        (("short", None, None, ["cem.samples"]), "cem.samples"),
        (("short", None, None, ["cem.=3"]), "cem.=3"),
    ],
)
def test_what_no_sweep_can_be_made_of_is_named(arguments, named):
    with pytest.raises(UserError, match=named):
        choose_sweep(*arguments)
