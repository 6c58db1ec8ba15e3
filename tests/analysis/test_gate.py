"""Two runs compared: what is called worse, and what never is."""

import json

import numpy as np
import pandas as pd
import pytest

from grasp_bench.analysis.gate import compare, comparison_sheet, markdown_comment
from grasp_bench.core.errors import UserError
from grasp_bench.run.store import read_results, write_rows

TASKS = 48


@pytest.fixture
def run(tmp_path, make_row):
    """A run of planners on 48 tasks, read back; values are given per planner and task."""
    count = 0

    def run(success, horizon=40, first_task=0, plan="plan", **values):
        nonlocal count
        count += 1
        rows = [
            make_row(
                planner=label.partition("[")[0],
                planner_label=label,
                task_id=f"pusht-h{horizon}-{first_task + number:04d}",
                horizon=horizon,
                success=bool(solved),
                time_to_success=2.0 if solved else None,
                plan_sha256=f"{plan}-{number}",
                **{k: v[number] if isinstance(v, list) else v for k, v in values.items()},
            )
            for label, outcomes in success.items()
            for number, solved in enumerate(outcomes)
        ]
        write_rows(tmp_path / f"{count}.parquet", rows)
        return read_results(tmp_path / f"{count}.parquet")

    return run


def solved(count, tasks=TASKS):
    return [number < count for number in range(tasks)]


def kinds(comparison):
    return [(failure.planner, failure.kind) for failure in comparison.failures]


def test_a_run_against_itself_needs_no_test(run):
    trials = run({"grasp": solved(20), "cem": solved(30)})
    comparison = compare(trials, trials, complete=True)
    assert not comparison.regressed
    assert [(c.same_plan, c.p_worse) for c in comparison.changes] == [(TASKS, None)] * 2
    assert comparison.failures == comparison.notes == []


def test_lost_tasks_are_a_regression(run):
    comparison = compare(run({"grasp": solved(30)}), run({"grasp": solved(10)}))
    assert kinds(comparison) == [("GRASP", "fewer solved")]
    (change,) = comparison.changes
    assert (change.solved_before, change.solved_now, change.lost, change.won) == (30, 10, 20, 0)
    assert change.p_worse == pytest.approx(0.5**20)
    assert "10 of 48" in comparison.failures[0].text


def test_won_tasks_pass(run):
    comparison = compare(run({"grasp": solved(10)}), run({"grasp": solved(30)}))
    assert not comparison.regressed
    assert comparison.changes[0].won == 20


def test_a_difference_that_chance_explains_passes(run):
    comparison = compare(run({"grasp": solved(30)}), run({"grasp": solved(26)}))
    assert not comparison.regressed
    assert comparison.changes[0].p_worse == pytest.approx(0.5**4)


def test_small_losses_at_every_horizon_add_up(run):
    base = pd.concat([run({"grasp": solved(20)}, horizon=h) for h in (40, 50, 60, 70)])
    new = pd.concat([run({"grasp": solved(16)}, horizon=h) for h in (40, 50, 60, 70)])
    assert not compare(base[base["horizon"] == 40], new[new["horizon"] == 40]).regressed
    assert compare(base, new).regressed


def test_p_values_are_corrected_for_the_planners_that_changed_only(run):
    names = ("cem", "gd", "grasp")
    base = run({name: solved(30) for name in names})
    new = run({"cem": solved(24), "gd": solved(30), "grasp": solved(29)})
    found = {change.planner: change.p_worse for change in compare(base, new).changes}
    assert found == {"CEM": 2 * 0.5**6, "GD": None, "GRASP": 0.5}


def test_other_plans_with_the_same_success_pass_and_are_counted(run):
    base, new = run({"grasp": solved(30)}), run({"grasp": solved(30)}, plan="other")
    comparison = compare(base, new)
    assert not comparison.regressed
    assert (comparison.changes[0].same_plan, comparison.changes[0].p_worse) == (0, 1.0)


def test_missing_trials_fail_where_all_are_asked_for(run):
    base = run({"grasp": solved(30), "cem": solved(30)})
    new = run({"grasp": solved(8, tasks=8)})
    comparison = compare(base, new)
    assert [(c.trials, c.missing) for c in comparison.changes] == [(0, 48), (8, 40)]
    assert not comparison.regressed
    complete = compare(base, new, complete=True)
    assert kinds(complete) == [("CEM", "missing"), ("GRASP", "missing")]


def test_another_configuration_stands_for_the_only_one_of_its_planner(run):
    base = run({"grasp": solved(30)}, hyperparameters=json.dumps({"sync": "gd"}))
    new = run({"grasp[sync=none]": solved(5)}, hyperparameters=json.dumps({"sync": "none"}))
    comparison = compare(base, new)
    assert comparison.regressed
    assert "sync gd to none" in comparison.notes[0]


def test_an_option_younger_than_the_base_counts_once_it_is_used(run):
    base = run({"grasp": solved(30)}, hyperparameters=json.dumps({"sync": "gd"}))
    young = {"noise_on": "states", "sync": "gd"}
    unused = compare(base, run({"grasp": solved(30)}, hyperparameters=json.dumps(young)))
    assert unused.notes == []
    label, young = "grasp[noise_on=actions]", young | {"noise_on": "actions"}
    used = compare(base, run({label: solved(30)}, hyperparameters=json.dumps(young)))
    assert "noise_on unset to actions" in used.notes[0]


def test_which_of_two_configurations_is_meant_is_never_guessed(run):
    base = run({"grasp": solved(30), "cem": solved(3)})
    new = run({"grasp[a=1]": solved(5), "grasp[a=2]": solved(5), "cem": solved(3)})
    assert {c.planner: c.trials for c in compare(base, new).changes} == {"CEM": 48, "GRASP": 0}


def test_new_errors_are_a_regression_and_count_as_failures(run):
    base, new = run({"grasp": solved(30)}), run({"grasp": solved(30)})
    new.loc[3, ["status", "error", "success"]] = ["error", "Traceback\nValueError: no", pd.NA]
    comparison = compare(base, new)
    assert kinds(comparison) == [("GRASP", "new errors")]
    assert (comparison.changes[0].new_errors, comparison.changes[0].lost) == (1, 1)
    assert "ValueError: no" in comparison.failures[0].text


def test_one_failing_demonstration_is_a_regression(run):
    comparison = compare(run({"demo": solved(48)}), run({"demo": solved(47)}))
    assert kinds(comparison) == [("demo", "lost demonstrations")]


@pytest.mark.parametrize("name", ["clock", "budget", "stop", "protocol", "replan_every"])
def test_runs_that_ask_different_questions_are_refused(run, name):
    value = {
        "clock": "iterations", "budget": 9.0, "stop": "never", "protocol": "mpc", "replan_every": 2,
    }[name]  # fmt: skip
    with pytest.raises(UserError, match=f"{name} is "):
        compare(run({"grasp": solved(30)}), run({"grasp": solved(30)}, **{name: value}))


def test_runs_without_a_common_planner_or_task_are_refused(run):
    for new in (run({"cem": solved(30)}), run({"grasp": solved(30)}, first_task=100)):
        with pytest.raises(UserError, match="nothing to compare"):
            compare(run({"grasp": solved(30)}), new)


@pytest.mark.parametrize(
    ("name", "value"), [("master_seed", 7), ("torch_version", "9.9"), ("cpu", "another")]
)
def test_what_makes_other_plans_expected_is_named(run, name, value):
    new = run({"grasp": solved(30)}, **{name: value})
    (note,) = compare(run({"grasp": solved(30)}), new).notes
    assert note.startswith(name)
    assert str(value) in note


def test_the_table_and_the_pull_request_comment_hold_the_counts(run):
    comparison = compare(run({"grasp": solved(30)}), run({"grasp": solved(5)}))
    (record,) = comparison_sheet(comparison).records
    assert (record["solved_before"], record["solved_now"], record["verdict"]) == (30, 5, "worse")
    text = markdown_comment(comparison)
    assert text.startswith("### ❌")
    assert "| **GRASP** | **48** |" in text


def test_reruns_of_the_same_planners_are_hardly_ever_called_worse(run):
    rng = np.random.default_rng(0)
    template = run({"cem": solved(24), "grasp": solved(24)}, clock="iterations")
    difficulty = rng.random(len(template))

    def rerun():
        plans = [f"{number}" for number in rng.random(len(template))]
        success = pd.Series(rng.random(len(template)) > difficulty)
        return template.assign(success=success, plan_sha256=plans)

    alarms = sum(compare(rerun(), rerun(), significance=0.2).regressed for _ in range(40))
    # Holm promises at most 20%, here 8 of 40; 16 of 40 would come less than once in a hundred.
    assert alarms < 16
