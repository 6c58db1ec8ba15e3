"""The bench: its floor, its loop form, its clock and its tables."""

import pytest
import torch

from grasp_bench.models import load_model
from grasp_bench.planners import GD, GRASP
from grasp_bench.speed.floor import matrix_products, model_work
from grasp_bench.speed.loop_form import LoopGRASP
from grasp_bench.speed.measure import Bench, Iterations, streams
from grasp_bench.speed.rows import (
    LARGE,
    OWN,
    SpeedRow,
    Timing,
    machine_context,
    read_speed,
    speed_frame,
    speed_sheets,
)
from grasp_bench.speed.timing import time_in_turns


@pytest.fixture(scope="module")
def bench():
    return Bench(load_model("pusht-compact").model, "cpu", repeats=1)


@pytest.mark.parametrize("planner", [{}, {"dense_goal": False}, {"stop_state_gradient": False}])
def test_the_loop_over_t_takes_the_same_step(bench, planner):
    problem = bench.problem(5, 2)
    lifted, loop = GRASP(**planner), LoopGRASP(**planner)
    path = lifted.start(problem, streams(problem))
    path.actions.normal_()
    for one, other in zip(
        lifted.gradients(problem, path.states, path.actions),
        loop.gradients(problem, path.states, path.actions),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_the_floor_counts_the_layers_and_skips_what_no_action_needs(bench):
    problem = bench.problem(16, 1)
    latent, action, width, blocks = 14, 10, 256, 4
    shared = 2 * blocks * width**2 + width * latent
    work = model_work(problem)
    assert work.forward == (latent + action) * width + shared
    assert work.backward == action * width + shared
    matrix_products(problem)()


def test_an_iterations_work_is_what_its_planner_evaluates(bench):
    problem = bench.problem(4, 1)
    work = model_work(bench.problem(16, 1))
    planner = Iterations(GD(), problem)
    done = sum(planner.advance() for _ in range(6))
    assert done == 6
    # A step rolls out and back over T; the rollout of the candidate before counts as well.
    assert planner.multiply_adds(work) == pytest.approx(4 * (work.forward + work.backward), rel=0.3)


def test_work_is_timed_in_turns_per_unit():
    order = []

    def work(name, units):
        def do():
            order.append(name)
            sum(range(200_000))
            return units

        return do

    timings = time_in_turns({"a": work("a", 1), "b": work("b", 10)}, 2, "cpu")
    assert order[:2] == ["a", "b"]
    assert order[2] == "a"
    assert order[-1] == "b"
    assert 2 < timings["a"].median / timings["b"].median < 50
    assert timings["a"].low <= timings["a"].median <= timings["a"].high


@pytest.fixture
def frame():
    timing = Timing(0.004, 0.003, 0.005)
    rows = [
        SpeedRow("form", LARGE, 16, 1, timing, 0.004, 0.002),
        SpeedRow("form", OWN, 16, 1, timing, 0.001, 0.004),
        SpeedRow("form", "lifted", 16, 1, timing, 0.002, 0.001),
        SpeedRow("form", "loop over t", 16, 1, Timing(0.04, 0.04, 0.04), 0.002, 0.001),
        SpeedRow("horizon", "grasp", 2, 1, timing),
        SpeedRow("horizon", "grasp", 64, 1, Timing(0.008, 0.008, 0.008)),
        SpeedRow("batch", "grasp", 16, 1, timing),
        SpeedRow("batch", "grasp", 16, 256, Timing(0.032, 0.03, 0.04)),
    ]
    return speed_frame(rows, repeats=3, **machine_context("tiny", "a" * 64, "cpu", 1))


def test_tables_are_ratios(frame):
    form, horizon, batch = speed_sheets(frame)
    texts = {row[0].text: [entry.text for entry in row[1:]] for row in form.rows}
    assert texts["lifted"] == ["4.00", "2.0", "4.0", "1.0"]
    assert texts["loop over t"] == ["40.00", "20.0", "40.0", "10.0"]
    assert [entry.text for entry in horizon.rows[0]] == ["grasp", "4.00", "x 2.0"]
    assert [entry.text for entry in batch.rows[0]] == ["grasp", "4.00", "x 32.0"]
    assert "medians of 3 rounds" in form.notes[-1]


def test_bench_writes_and_draws_what_it_measured(cli, tmp_path, monkeypatch, tiny_checkpoint):
    from grasp_bench.speed import measure, timing

    monkeypatch.setattr(timing, "STRETCH_SECONDS", 0.0)
    monkeypatch.setattr(timing, "WARM_UP_SECONDS", 0.0)
    monkeypatch.setattr(measure, "STEPS_GRID", (2, 4))
    monkeypatch.setattr(measure, "BATCH_GRID", (1, 2))
    command = ["bench", "--model", tiny_checkpoint, "--repeats", "1", "--format", "markdown"]
    code, out, _ = cli(*command, "-o", "bench.parquet")
    assert code == 0
    for word in ("x floor", "loop over t", "cem", "T = 4", "B = 2"):
        assert word in out
    frame = read_speed(tmp_path / "bench.parquet")
    assert set(frame["section"]) == {"planner", "form", "horizon", "batch"}
    assert (frame["seconds"] > 0).all()
    code, out, _ = cli("figure", "bench", "bench.parquet", "-o", "speed.png")
    assert code == 0
    assert (tmp_path / "speed.png").stat().st_size > 10_000
    code, _, err = cli("figure", "bench", tiny_checkpoint)
    assert code == 2
    assert "grasp-bench bench" in err
