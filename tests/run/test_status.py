"""`grasp-bench status`, and parts of a sweep on machines that share nothing."""

import os
from pathlib import Path

import pytest

from grasp_bench.run.presence import Presence
from grasp_bench.run.status import read_status
from grasp_bench.run.store import read_results, write_rows

GRID = (
    "--planners", "cem,demo", "--horizons", "20,40", "--clock", "iterations", "--budget", 1,
    "--workers", 1,
)  # fmt: skip


@pytest.fixture
def sweep(cli, responsive_checkpoint, in_this_process):
    def sweep(*options, out="out"):
        return cli("sweep", *GRID, "--model", responsive_checkpoint, "--out", out, *options)

    return sweep


def test_a_finished_run_says_so(sweep, cli):
    assert sweep("--trials", 3)[0] == 0
    code, out, _ = cli("status", "out")
    assert code == 0
    assert "12 of 12 trials are stored, 0 of them" in out
    (sweeping,) = read_status(Path("out")).sweeps
    assert sweeping.asked.workers == 1
    assert not sweeping.at_work


def test_a_run_under_way_says_who_runs_it_and_at_what(refused, cli, tmp_path, make_row):
    out = tmp_path / "out"
    (out / "parts").mkdir(parents=True)
    assert "under way" not in refused("table", out)
    presence = Presence(out)
    presence.announce(9, "local", 2)
    presence.take(["grasp-t0", "grasp-t1"])
    for command in ("status", "table"):
        sentence = refused(command, out)
        assert "under way" in sentence
        assert f"process {os.getpid()} on" in sentence
        assert "grasp-t1" in sentence
    write_rows(out / "parts" / "a.parquet", [make_row(task_id="t0")])
    found = read_status(out)
    assert found.sweeps[0].at_work
    code, said, _ = cli("status", out)
    assert code == 0
    assert "1 of 9 trials" in said
    assert "at 1 trial(s): grasp-t1" in said
    presence.close()
    assert not read_status(out).sweeps[0].at_work
    next(out.glob("sweeps/*.jsonl")).write_text("{\n")
    assert "cannot be read" in refused("status", out)


def test_errors_are_named_by_planner(cli, results):
    failed = {"status": "error", "error": "Traceback\nValueError: nothing works"}
    results({"cem": []}, **failed)
    code, out, err = cli("status", "trials.parquet")
    assert code == 0, err
    assert "cem: 40 error(s), such as ValueError: nothing works" in out


def test_parts_of_a_sweep_share_no_trial_and_make_the_whole(sweep, cli):
    sweep("--trials", 5)
    for number in (1, 2, 3):
        assert sweep("--trials", 5, "--shard", f"{number}/3", out=f"part-{number}")[0] == 0
    parts = [f"part-{number}" for number in (1, 2, 3)]
    assert cli("results", "merge", *parts, "-o", "merged.parquet")[0] == 0
    whole, merged = read_results("out"), read_results("merged.parquet")
    assert merged["trial_key"].tolist() == whole["trial_key"].tolist()
    assert merged["plan_sha256"].tolist() == whole["plan_sha256"].tolist()
    sizes = [len(read_results(part)) for part in parts]
    assert sum(sizes) == len(whole)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_a_part_that_is_none_is_refused(refused, responsive_checkpoint, shard):
    sentence = refused("sweep", *GRID, "--model", responsive_checkpoint, "--shard", shard)
    assert "expected i/n" in sentence
