"""Sweeps on a Ray cluster of three nodes on this machine, with Ray installed."""

import threading
import time

import pandas as pd
import pytest
from test_sweep import CLOCK_COLUMNS, small_sweep

from grasp_bench.core.errors import UserError
from grasp_bench.models import load_model
from grasp_bench.run.executors import EXECUTORS, ResourceLimits, ray_cluster
from grasp_bench.run.executors.ray_cluster import RayCluster
from grasp_bench.run.launch import run_settings
from grasp_bench.run.run_folder import open_run_folder
from grasp_bench.run.store import read_results
from grasp_bench.run.sweep import run_sweep
from grasp_bench.run.worker import Assignment
from grasp_bench.tasks import load_tasks

KILLS = 20


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("ray")


@pytest.fixture
def cluster(library):
    """A cluster with a head and two nodes of one core each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    library.init(address=cluster.address, log_to_driver=False)
    yield cluster
    library.shutdown()
    cluster.shutdown()


@pytest.fixture
def sweep_on(make_protocol, responsive_checkpoint, tmp_path):
    """Runs a sweep with an executor; returns its results."""

    def sweep_on(executor, name, trials=4, workers=3, **limits):
        loaded = load_model(str(responsive_checkpoint))
        protocol = make_protocol(budget=4.0)
        sweep = small_sweep(trials=trials)
        settings = run_settings(loaded, load_tasks("eval", 20, 1), protocol)
        made = EXECUTORS.get(executor)(
            Assignment(protocol, settings, workers), ResourceLimits(**limits)
        )
        failures = []
        with open_run_folder(tmp_path / name, settings) as folder:
            run_sweep(sweep, folder, made, lambda rows: None, lambda f: failures.append(f) or [])
        assert failures == []
        return read_results(tmp_path / name)

    return sweep_on


def same(one, two):
    ignored = [*CLOCK_COLUMNS, "workers"]
    pd.testing.assert_frame_equal(
        one.drop(columns=ignored, errors="ignore"), two.drop(columns=ignored, errors="ignore")
    )


@pytest.mark.slow
def test_a_cluster_gives_the_rows_that_this_machine_gives(cluster, sweep_on):
    same(sweep_on("ray", "cluster"), sweep_on("local", "local", workers=1))


@pytest.mark.slow
def test_a_lost_node_loses_and_doubles_nothing(cluster, sweep_on):
    expected = sweep_on("local", "local", trials=6, workers=1)
    for number in range(KILLS):
        node = cluster.add_node(num_cpus=1)

        def kill(node=node, after=0.5 + 0.3 * (number % 8)):
            time.sleep(after)
            cluster.remove_node(node, allow_graceful=False)

        killer = threading.Thread(target=kill)
        killer.start()
        found = sweep_on("ray", f"killed-{number}", trials=6, workers=4)
        killer.join()
        assert not found["trial_key"].duplicated().any()
        same(found, expected)


def test_without_ray_one_sentence_says_what_to_install(monkeypatch, refused, responsive_checkpoint):
    sentence = refused(
        "run", "--planner", "cem", "--horizon", 20, "--model", responsive_checkpoint,
        "--executor", "ray",
    )  # fmt: skip
    assert "--workers" in sentence
    with pytest.raises(UserError, match="--trial-memory"):
        RayCluster(None, ResourceLimits(mebibytes=100))

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(ray_cluster.importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"grasp-bench\[ray\]"):
        next(RayCluster(None).run([]))
