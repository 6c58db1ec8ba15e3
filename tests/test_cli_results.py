"""Commands that read results: what they print, and one sentence for every bad input."""

from pathlib import Path

import pytest

from grasp_bench.results import write_rows


@pytest.fixture
def two_runs(cli, make_row):
    """A run that solves all of 20 tasks, and one that solves none of them."""
    for name, solved in (("good", True), ("bad", False)):
        rows = [
            make_row(task_id=f"t{number}", success=solved, time_to_success=1.0 if solved else None)
            for number in range(20)
        ]
        write_rows(Path(f"{name}.parquet"), rows)


def test_comparing_exits_with_1_on_a_regression_and_0_otherwise(cli, two_runs):
    code, out, _ = cli("compare", "good.parquet", "bad.parquet", "--markdown", "deep/pr.md")
    assert code == 1
    assert "GRASP at H=40 solves fewer tasks: 0 of 20 instead of 20" in out
    assert out.splitlines()[-1].startswith("Regression: the new run is worse")
    assert "solves fewer tasks" in Path("deep/pr.md").read_text()
    code, out, _ = cli("compare", "bad.parquet", "good.parquet")
    assert code == 0
    assert out.splitlines()[-1].startswith("No regression")


def test_runs_that_cannot_be_compared_are_refused(refused, two_runs, make_row):
    write_rows(Path("other.parquet"), [make_row(budget=9.0)])
    assert "differ in budget" in refused("compare", "good.parquet", "other.parquet")
    assert "there is no results file" in refused("compare", "good.parquet", "missing.parquet")
