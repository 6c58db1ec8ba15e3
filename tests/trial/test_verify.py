"""Stored plans are executed again: all agree, and one that was tampered with is told."""

import subprocess
import sys

import numpy as np
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.run.store import read_results, write_rows
from grasp_bench.trial.outcome import unpacked
from grasp_bench.trial.verify import stored_plans, verify_plan


@pytest.fixture(scope="module")
def rows(make_trial_rows):
    stopped = make_trial_rows("demo", stop="first-success", batch=2)
    whole = make_trial_rows("demo", batch=2) + make_trial_rows("cem", batch=2)
    closed = make_trial_rows("demo", protocol="mpc", replan_every=1)
    return {"stopped": stopped, "whole": whole, "closed": closed}


@pytest.mark.parametrize(
    ("kind", "plans"),
    [
        ("stopped", ["success_plan_actions"] * 2),
        ("whole", ["success_plan_actions", "final_plan_actions"] * 2 + ["final_plan_actions"] * 2),
        ("closed", ["success_plan_actions", "final_plan_actions"]),
    ],
)
def test_every_stored_plan_leads_where_its_row_says(rows, kind, plans, tmp_path):
    write_rows(tmp_path / "trials.parquet", rows[kind])
    trials = read_results(tmp_path / "trials.parquet")
    stored = list(stored_plans(trials))
    order = {row["trial_key"]: number for number, row in enumerate(rows[kind])}
    stored.sort(key=lambda plan: order[plan.row["trial_key"]])
    assert [plan.column for plan in stored] == plans
    for plan in stored:
        found = verify_plan(plan)
        assert found.differs == ()
        assert found.distance == 0.0


def test_the_actions_are_those_of_the_demonstration(rows):
    from grasp_bench.tasks import load_tasks

    task_set = load_tasks("eval", 20, 1)
    actions = unpacked(rows["whole"][0]["final_plan_actions"], task_set.environment)
    np.testing.assert_allclose(actions, task_set.tasks[0].demo_actions, atol=1e-6)


def test_a_claim_that_does_not_hold_is_named(rows, tmp_path, cli):
    liar = dict(rows["whole"][-1], final_plan_success_strict=True)
    write_rows(tmp_path / "trials.parquet", [*rows["whole"][:-1], liar])
    code, out, _ = cli("results", "verify", tmp_path)
    assert code == 1
    assert f"{liar['trial_key']}: final_plan_actions: other final_plan_success_strict" in out
    assert "5 of 6 plans" in out


def test_a_plan_of_another_length_or_of_another_set_is_refused(rows):
    row = rows["whole"][0]
    (plan, *_) = stored_plans(_frame(dict(row, success_plan_actions=b"\0" * 80)))
    with pytest.raises(UserError, match="10 actions, not 20"):
        verify_plan(plan)
    (plan, *_) = stored_plans(_frame(dict(row, task_set_sha256="0" * 64)))
    with pytest.raises(UserError, match="another 'eval' task set"):
        verify_plan(plan)


def test_results_without_plans_are_told_of(rows, tmp_path, refused):
    none = dict.fromkeys(("success_plan_actions", "final_plan_actions"))
    write_rows(tmp_path / "trials.parquet", [row | none for row in rows["whole"]])
    assert "no plans" in refused("results", "verify", tmp_path)


def test_it_needs_no_torch():
    code = "import sys, grasp_bench.trial.verify; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _frame(row):
    import pandas as pd

    return pd.DataFrame([row])
