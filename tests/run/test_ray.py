"""Sweeps on a Ray cluster of three nodes on this machine, with Ray installed."""

import re
import subprocess
import sys
import threading
from functools import partial
from types import SimpleNamespace

import pandas as pd
import pytest
from test_executors import WRECKERS
from test_sweep import CLOCK_COLUMNS, REPOSITORY, small_sweep, stored, wait_until

from grasp_bench.core.errors import UserError
from grasp_bench.models import load_model
from grasp_bench.run.executors import EXECUTORS, ResourceLimits, ray_cluster
from grasp_bench.run.executors.ray_cluster import RayCluster
from grasp_bench.run.preparation import run_settings
from grasp_bench.run.run_folder import open_run_folder
from grasp_bench.run.store import read_results
from grasp_bench.run.sweep import run_sweep
from grasp_bench.run.worker import Assignment
from grasp_bench.tasks import load_tasks

KILLS = 20
NODE = {"num_cpus": 1, "num_gpus": 1}
GRID = ("--horizons", 20, "--trials", 1, "--clock", "iterations", "--budget", 1, "--stop", "never")


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster(library):
    """A cluster with a head and two nodes, of one core and one GPU in name each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    for _ in range(2):
        cluster.add_node(**NODE)
    library.init(address=cluster.address, log_to_driver=False)
    yield cluster
    library.shutdown()
    cluster.shutdown()


@pytest.fixture
def sweep_on(make_protocol, responsive_checkpoint, tmp_path):
    """Runs a sweep with an executor; returns its results."""

    def sweep_on(executor, name, trials=2, workers=3, on_rows=lambda rows: None, **limits):
        loaded = load_model(str(responsive_checkpoint))
        protocol = make_protocol(budget=4.0)
        sweep = small_sweep(trials=trials)
        settings = run_settings(loaded, load_tasks("eval", 20, 1), protocol)
        made = EXECUTORS.get(executor)(
            Assignment(protocol, settings, workers), ResourceLimits(**limits)
        )
        failures = []
        with open_run_folder(tmp_path / name, settings) as folder:
            run_sweep(sweep, folder, made, on_rows, lambda f: failures.append(f) or [])
        assert failures == []
        return read_results(tmp_path / name)

    return sweep_on


class Killer:
    """Kills a node of a cluster, with the worker on it, once some rows have come in."""

    def __init__(self, library, cluster, after):
        self.library, self.cluster, self.after = library, cluster, after
        self.rows, self.thread = 0, None

    def __call__(self, rows):
        self.rows += len(rows)
        if self.thread is None and self.rows >= self.after and (node := self.busy_node()):
            kill = partial(self.cluster.remove_node, node, allow_graceful=False)
            self.thread = threading.Thread(target=kill)
            self.thread.start()

    def busy_node(self):
        actors = self.library._private.state.actors().values()
        busy = {a["Address"]["NodeID"] for a in actors if a["State"] == "ALIVE"}
        return next((node for node in self.cluster.worker_nodes if node.node_id in busy), None)


def same(one, two):
    ignored = [*CLOCK_COLUMNS, "workers"]
    pd.testing.assert_frame_equal(
        one.drop(columns=ignored, errors="ignore"), two.drop(columns=ignored, errors="ignore")
    )


@pytest.mark.slow
def test_a_cluster_gives_the_rows_that_this_machine_gives(cluster, sweep_on):
    """With four workers to a GPU, of which the nodes have one each in name."""
    same(sweep_on("ray", "cluster", gpus=0.25), sweep_on("local", "local", workers=1))


@pytest.mark.slow
def test_a_lost_node_loses_and_doubles_nothing(library, cluster, sweep_on):
    trials = 5
    expected = sweep_on("local", "local", trials, workers=1)
    for number in range(KILLS):
        killer = Killer(library, cluster, after=1 + number % (len(expected) // 2))
        found = sweep_on("ray", f"killed-{number}", trials, on_rows=killer)
        killer.thread.join()
        assert not found["trial_key"].duplicated().any()
        same(found, expected)
        print(f"run {number + 1}: a node was killed after {killer.after} rows or more")
        cluster.add_node(**NODE)


@pytest.mark.slow
def test_wreckers_on_a_cluster_are_rows_as_on_this_machine(cluster, cli, responsive_checkpoint):
    names = ("Killed", "Sleeper", "Hoarder", "Fair")
    code, _, err = cli(
        "sweep", "--planners", ",".join(f"{WRECKERS}:{name}" for name in names), *GRID,
        "--model", responsive_checkpoint, "--workers", 2, "--executor", "ray", "--address",
        cluster.address, "--trial-timeout", 60, "--trial-memory", 1200, "--out", "out",
    )  # fmt: skip
    assert code == 1, err
    errors = read_results("out").set_index("planner")["error"]
    assert pd.isna(errors["fair"])
    for planner, words in {
        "killed": "died of SIGKILL, 3 times", "sleeper": "--trial-timeout",
        "hoarder": "--trial-memory",
    }.items():  # fmt: skip
        assert words in errors[planner]


@pytest.mark.slow
def test_a_search_runs_on_a_cluster(cluster, cli, responsive_checkpoint):
    code, _, err = cli(
        "tune", "--planners", "gd", "--horizons", 20, "--settings", 2, "--trials", 2, "--clock",
        "iterations", "--budget", 2, "--model", responsive_checkpoint, "--workers", 2,
        "--executor", "ray", "--address", cluster.address, "--out", "out",
    )  # fmt: skip
    assert code == 0, err
    assert len(read_results("out")) == 4


@pytest.mark.slow
def test_the_drivers_memory_stays_flat(library):
    arguments = [sys.executable, "scripts/bench_cluster.py", "--trials", "1000", "--workers", "2"]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1000 trials, 2 actors on 3 nodes")
    line = next(line for line in done.stdout.splitlines() if "memory" in line)
    memory = [int(mebibytes) for mebibytes, _ in re.findall(r"(\d+) at (\d+)", line)]
    assert len(memory) == 10
    assert memory[-1] - memory[4] < 40  # after the first merge of parts


@pytest.mark.slow
def test_terminating_the_driver_of_a_cluster_is_one_sentence(
    library, responsive_checkpoint, tmp_path
):
    out = tmp_path / "out"
    arguments = [
        sys.executable, "-m", "grasp_bench", "sweep", "--planners", "cem,gd", *GRID,
        "--trials", 200, "--model", responsive_checkpoint, "--workers", 1, "--executor", "ray",
        "--out", out,
    ]  # fmt: skip
    process = subprocess.Popen(
        [str(argument) for argument in arguments], cwd=REPOSITORY, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: out.exists() and stored(out) > 0, process)
    process.terminate()
    said, err = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "stopped: " in said
    assert "Traceback" not in err
    assert len(read_results(out)) > 0


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379", "127.0.0.1:99999"])
def test_an_address_without_a_cluster_is_refused_at_once(address):
    ray = SimpleNamespace(is_initialized=lambda: False)
    with pytest.raises(UserError, match=address), ray_cluster._connected(ray, address):
        pass


def test_without_ray_one_sentence_says_what_to_install(monkeypatch, refused, responsive_checkpoint):
    sentence = refused(
        "run", "--planner", "cem", "--horizon", 20, "--model", responsive_checkpoint,
        "--executor", "ray",
    )  # fmt: skip
    assert "--workers" in sentence

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(ray_cluster.importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"grasp-bench\[ray\]"):
        next(RayCluster(None).run([]))
