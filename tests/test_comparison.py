"""Two runs held against each other: what is called worse, and what never is."""

import json

import numpy as np
import pandas as pd
import pytest

from grasp_bench.errors import UserError
from grasp_bench.report.comparison import compare
from grasp_bench.report.comparison_text import conclusion, markdown_comment, sentences
from grasp_bench.results import read_results, write_rows

TASKS = 48


@pytest.fixture
def run(tmp_path, make_row):
    """A run of planners on 48 tasks, read back; values are given per planner and task."""
    count = 0

    def run(success, horizon=40, first_task=0, **values):
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


def verdicts(comparison):
    return {(f.planner, f.horizon, f.change.quantity.name): f.verdict for f in comparison.findings}


def test_a_run_against_itself_passes(run):
    trials = run({"grasp": solved(20), "cem": solved(30)})
    comparison = compare(trials, trials)
    assert not comparison.regressed
    assert set(verdicts(comparison).values()) == {"no change"}
    assert sentences(comparison) == []


def test_lost_tasks_are_a_regression_told_in_a_sentence(run):
    comparison = compare(run({"grasp": solved(30)}), run({"grasp": solved(10)}))
    assert comparison.regressed
    (sentence,) = sentences(comparison)
    assert sentence.startswith(
        "GRASP at H=40 solves fewer tasks: 10 of 48 instead of 30, 20 lost and 0 won (p < 0.0001"
    )
    assert conclusion(comparison).startswith("Regression")


def test_won_tasks_are_told_and_pass(run):
    comparison = compare(run({"grasp": solved(10)}), run({"grasp": solved(30)}))
    assert not comparison.regressed
    assert sentences(comparison)[0].startswith("GRASP at H=40 solves more tasks")


def test_a_difference_that_chance_explains_passes(run):
    comparison = compare(run({"grasp": solved(30)}), run({"grasp": solved(26)}))
    assert verdicts(comparison)["GRASP", 40, "success"] == "no change"


def test_worse_committed_plans_are_a_regression_though_success_is_the_same(run):
    costs = list(np.linspace(0.1, 0.5, TASKS))
    base = run({"grasp": solved(20)}, blind_cost_realised=costs)
    new = run({"grasp": solved(20)}, blind_cost_realised=[1.1 * cost for cost in costs])
    comparison = compare(base, new)
    assert verdicts(comparison)["GRASP", 40, "realised goal cost"] == "worse"
    assert "commits to plans that end farther from the goal" in sentences(comparison)[0]


def test_blind_success_counts_only_where_every_trial_commits_to_a_plan(run):
    trials = [run({"grasp": solved(20)}, blind_success=solved(count)) for count in (40, 5)]
    assert verdicts(compare(*trials))["GRASP", 40, "blind success"] == "worse"
    half = run({"grasp": solved(20)}, blind_success=[None, *solved(40)[1:]])
    assert ("GRASP", 40, "blind success") not in verdicts(compare(half, half))


@pytest.mark.parametrize(
    ("factor", "reference", "verdict"),
    [(1.2, 1.0, "no change"), (2.0, 1.0, "worse"), (2.0, 2.0, "no change"), (0.4, 1.0, "better")],
)
def test_planner_seconds_count_over_the_reference_workloads(run, factor, reference, verdict):
    def timed(seconds, workload):
        return run({"grasp": solved(20)}, planner_seconds=seconds, reference_seconds=workload)

    comparison = compare(timed(1.0, 0.01), timed(factor, 0.01 * reference))
    assert verdicts(comparison)["GRASP", 40, "time per iteration"] == verdict


def test_time_to_success_is_compared_on_the_tasks_solved_in_both_runs(run):
    base, new = run({"grasp": solved(20)}), run({"grasp": solved(20)})
    new["time_to_success"] *= 3
    (sentence,) = sentences(compare(base, new))
    assert "takes longer to succeed: 3.00 times as long on the 20 tasks solved in both" in sentence


def test_on_the_iteration_clock_more_candidates_to_success_are_worse_by_any_factor(run):
    base, new = (run({"grasp": solved(20)}, clock="iterations", budget=30.0) for _ in range(2))
    new["time_to_success"] *= 1.1
    assert verdicts(compare(base, new))["GRASP", 40, "time to success"] == "worse"


@pytest.mark.parametrize(
    "values", [{"reference_seconds": None}, {"threads": 2}, {"batch": 8}, {"cpu": "another"}]
)
def test_seconds_that_do_not_compare_are_shown_and_not_gated(run, values):
    base, new = run({"grasp": solved(20)}), run({"grasp": solved(20)}, **values)
    new["time_to_success"] *= 9
    comparison = compare(base, new)
    assert not comparison.regressed
    assert verdicts(comparison)["GRASP", 40, "time to success"] == "not gated"
    assert any("decide nothing" in note for note in comparison.notes)


def test_small_losses_at_every_horizon_add_up(run):
    base = pd.concat([run({"grasp": solved(20)}, horizon=h) for h in (40, 50, 60, 70)])
    new = pd.concat([run({"grasp": solved(14)}, horizon=h) for h in (40, 50, 60, 70)])
    found = verdicts(compare(base, new))
    assert found["GRASP", 40, "success"] == "no change"
    assert found["GRASP", None, "success"] == "worse"
    assert "over all horizons" in sentences(compare(base, new))[0]


def test_only_shared_tasks_are_paired(run):
    comparison = compare(run({"grasp": solved(30)}), run({"grasp": solved(8, tasks=8)}))
    assert {finding.change.tasks for finding in comparison.findings} == {8}
    assert any("40 of 48 trials of GRASP are in the base only" in n for n in comparison.notes)
    complete = compare(run({"grasp": solved(30)}), run({"grasp": solved(8, 8)}), complete=True)
    assert complete.regressed


def test_without_shared_tasks_the_comparison_is_unpaired_and_says_so(run):
    base = run({"grasp": solved(40)})
    new = run({"grasp": solved(5)}, first_task=100)
    comparison = compare(base, new)
    assert not any(finding.paired for finding in comparison.findings)
    assert "unpaired" in sentences(comparison)[0]
    assert any("share no task" in note for note in comparison.notes)


def test_another_configuration_stands_for_the_only_one_of_its_planner(run):
    base = run({"grasp": solved(30)}, planner_config=json.dumps({"sync": "gd"}))
    new = run({"grasp[sync=none]": solved(5)}, planner_config=json.dumps({"sync": "none"}))
    comparison = compare(base, new)
    assert comparison.regressed
    assert "GRASP ran with other settings: sync gd to none." in comparison.notes


def test_an_option_younger_than_the_base_counts_once_it_is_used(run):
    base = run({"grasp": solved(30)}, planner_config=json.dumps({"sync": "gd"}))
    young = {"noise_on": "states", "sync": "gd"}
    unused = compare(base, run({"grasp": solved(30)}, planner_config=json.dumps(young)))
    assert not any("other settings" in note for note in unused.notes)
    label, young = "grasp[noise_on=actions]", young | {"noise_on": "actions"}
    used = compare(base, run({label: solved(30)}, planner_config=json.dumps(young)))
    assert "GRASP ran with other settings: noise_on unset to actions." in used.notes


def test_which_of_two_configurations_is_meant_is_never_guessed(run):
    base = run({"grasp": solved(30), "cem": solved(3)})
    new = run({"grasp[a=1]": solved(5), "grasp[a=2]": solved(5), "cem": solved(3)})
    comparison = compare(base, new)
    assert {finding.planner for finding in comparison.findings} == {"CEM"}
    assert "GRASP is in the base only." in comparison.notes


def test_new_errors_are_a_regression(run):
    base, new = run({"grasp": solved(30)}), run({"grasp": solved(30)})
    new.loc[3, ["status", "error"]] = ["error", "Traceback\nValueError: no"]
    comparison = compare(base, new)
    assert comparison.regressed
    assert "error in 1 of 48 trials" in comparison.failures[0]
    assert comparison.failures[0].endswith("pusht-h40-0003: ValueError: no")


def test_one_failing_demonstration_is_a_regression(run):
    comparison = compare(run({"demo": solved(48)}), run({"demo": solved(47)}))
    assert comparison.regressed
    assert "fail on 1 of 48 tasks" in comparison.failures[0]


def test_bitwise_equal_plans_are_counted_on_the_iteration_clock(run):
    values = {"clock": "iterations", "budget": 30.0}
    hashes = [f"{number:064x}" for number in range(TASKS)]
    base = run({"grasp": solved(30)}, plan_sha256=hashes, **values)
    other = run({"grasp": solved(30)}, plan_sha256=["f" * 64, *hashes[1:]], cpu="other", **values)
    assert "48 of 48 plans are bitwise those of the base." in compare(base, base).notes
    (note,) = (note for note in compare(base, other).notes if "bitwise" in note)
    assert note == "47 of 48 plans are bitwise those of the base; the runs differ in cpu."


@pytest.mark.parametrize("name", ["clock", "budget", "stop", "protocol", "replan_every"])
def test_runs_that_ask_different_questions_are_refused(run, name):
    value = {
        "clock": "iterations", "budget": 9.0, "stop": "never", "protocol": "mpc", "replan_every": 2,
    }[name]  # fmt: skip
    with pytest.raises(UserError, match=f"differ in {name}"):
        compare(run({"grasp": solved(30)}), run({"grasp": solved(30)}, **{name: value}))


def test_runs_without_a_common_planner_are_refused(run):
    with pytest.raises(UserError, match="nothing to compare"):
        compare(run({"grasp": solved(30)}), run({"cem": solved(30)}))


def test_other_weights_and_seeds_are_named(run):
    new = run({"grasp": solved(30)}, model_sha256="d" * 64, master_seed=7)
    notes = " ".join(compare(run({"grasp": solved(30)}), new).notes)
    assert "master_seed: 0 in the base, 7 in the new one" in notes
    assert "model_sha256" in notes


def test_the_pull_request_comment_holds_verdict_sentences_and_table(run):
    text = markdown_comment(compare(run({"grasp": solved(30)}), run({"grasp": solved(5)})))
    assert text.startswith("### ❌ grasp-bench compare\n\nRegression")
    assert "- GRASP at H=40 solves fewer tasks" in text
    assert "| **GRASP** | **H=40** | **success** | **48** | **62.5%** | **10.4%** |" in text


def test_reruns_of_the_same_planners_are_hardly_ever_called_worse(run):
    rng = np.random.default_rng(0)
    template = run({"cem": solved(1), "grasp": solved(1)}, clock="iterations")
    difficulty = rng.random(len(template))

    def rerun():
        success = pd.Series(rng.random(len(template)) > difficulty)
        costs = difficulty + 0.1 * rng.exponential(size=len(template))
        times = pd.Series(rng.exponential(size=len(template))).where(success)
        return template.assign(success=success, blind_cost_realised=costs, time_to_success=times)

    alarms = sum(compare(rerun(), rerun(), significance=0.2).regressed for _ in range(20))
    # Holm promises at most 20%, here 4 of 20; 9 of 20 would come once in a hundred.
    assert alarms < 9
