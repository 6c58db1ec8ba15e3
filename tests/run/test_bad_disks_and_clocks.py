"""Full disks, folders that may only be read, damaged parts and clocks that go back."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.run import presence, worker
from grasp_bench.run.run_folder import SET_ASIDE_FOLDER, open_run_folder
from grasp_bench.run.status import read_status
from grasp_bench.run.store import read_results

SWEEP = (
    "sweep", "--planners", "cem,demo", "--horizons", 20, "--trials", 4, "--clock", "iterations",
    "--budget", 1, "--stop", "never", "--workers", 1, "--out",
)  # fmt: skip
ALL = 8


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a given size in memory, and what mounts it again with other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options):
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(place)],
            capture_output=True,
        ).returncode

    if os.name != "posix" or mount("size=64k"):
        pytest.skip("no file system may be mounted here")
    yield place, lambda *options: mount("remount", *options)
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def sweep(cli, responsive_checkpoint, in_this_process):
    return lambda out: cli(*SWEEP, out, "--model", responsive_checkpoint)


def outcomes(out):
    trials = read_results(out)
    assert not trials["trial_key"].duplicated().any()
    return trials.set_index("trial_key")["plan_sha256"].to_dict()


def test_a_full_disk_loses_no_finished_trial(sweep, small_disk):
    disk, remount = small_disk
    assert sweep("whole")[0] == 0
    assert remount("size=160k") == 0
    code, _, err = sweep(disk / "out")
    assert code == 2
    assert "No space left" in err
    assert err.count("\n") == 1
    before = read_results(disk / "out")
    assert 0 < len(before) < ALL
    assert f"{len(before)} of {ALL} trials are safe" in err
    assert remount("size=8m") == 0
    assert sweep(disk / "out")[0] == 0
    after = read_results(disk / "out")
    assert outcomes(disk / "out") == outcomes("whole")
    kept = after[after["trial_key"].isin(before["trial_key"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)


def test_a_disk_that_fills_up_at_any_moment_keeps_what_was_stored(small_disk, make_row, settings):
    """Also while parts are merged and moved, which needs room for both."""
    disk, remount = small_disk
    for kibibytes in range(150, 1000, 50):
        assert remount(f"size={kibibytes}k") == 0
        stored = []
        try:
            with open_run_folder(disk / f"{kibibytes}", settings()) as folder:
                for number in range(6):
                    folder.add([make_row(task_id=f"t{number}")])
                    stored.append(f"t{number}")
                folder.compact()
        except (OSError, UserError):
            assert remount("size=64m") == 0
        if stored:
            assert read_results(disk / f"{kibibytes}")["task_id"].tolist() == stored
        assert not list(disk.rglob("*.tmp"))
        subprocess.run(["rm", "-r", str(disk / f"{kibibytes}")], check=True)


def test_a_folder_that_may_only_be_read_is_refused_and_can_be_read(sweep, cli, small_disk):
    disk, remount = small_disk
    assert remount("size=64m") == 0
    assert sweep(disk / "out")[0] == 0
    assert remount("ro") == 0
    for out in ("out", "other"):
        code, _, err = sweep(disk / out)
        assert code == 2
        assert err.count("\n") == 1
        assert "Read-only" in err
    assert cli("table", disk / "out", "--format", "csv")[0] == 0
    assert cli("status", disk / "out")[0] == 0
    assert len(read_results(disk / "out")) == ALL


def test_a_damaged_part_costs_its_own_trials_only(sweep, tmp_path):
    assert sweep("out")[0] == 0
    whole = outcomes("out")
    trials = tmp_path / "out" / "trials.parquet"
    part = tmp_path / "out" / "parts" / "a.parquet"
    part.write_bytes(trials.read_bytes()[:-100])
    code, out, _ = sweep("out")
    assert code == 0
    assert SET_ASIDE_FOLDER in out
    assert outcomes("out") == whole
    # All trials were in the damaged one.
    part.write_bytes(trials.read_bytes()[:-100])
    trials.unlink()
    assert sweep("out")[0] == 0
    assert outcomes("out") == whole
    assert len(list((tmp_path / "out" / SET_ASIDE_FOLDER).iterdir())) == 1


def test_a_clock_that_goes_back_changes_nothing(sweep, monkeypatch):
    assert sweep("whole")[0] == 0

    class Back(datetime):
        """Goes back a day whenever somebody looks at it."""

        days = 0

        @classmethod
        def now(cls, tz=None):
            cls.days += 1
            return datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=cls.days)

    monkeypatch.setattr(worker, "datetime", Back)
    monkeypatch.setattr(presence, "datetime", Back)
    monkeypatch.setattr("time.time", lambda: Back.now().timestamp())
    assert sweep("out")[0] == 0
    assert outcomes("out") == outcomes("whole")
    assert Back.days >= ALL
    before = read_results("out")
    assert sweep("out")[0] == 0
    pd.testing.assert_frame_equal(read_results("out"), before)
    assert len(read_status(Path("out")).trials) == ALL
