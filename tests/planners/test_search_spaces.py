"""Every point of a planner's search space is a planner."""

import itertools
import random

import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.planners import PLANNERS, make_planner
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange
from grasp_bench.tuning.study import search_space, tunable_planners

ALL = [
    *("cem", "gd", "latco", "grasp"),
    *("sift", "gd-adam", "lbfgs", "icem", "mppi", "predictive-sampling", "grad-cem", "latco-gn"),
    *("grasp-plus", "prism", "leap", "prior-rerank"),
]
BOUNDS = {"prior-mean", "zero", "random", "shuffled-demo", "demo"}


def ends(where):
    return where.values if isinstance(where, Choice) else (where.low, where.high)


def drawn(where, rng):
    if isinstance(where, Choice):
        return rng.choice(where.values)
    draw = rng.randint if isinstance(where, IntRange) else rng.uniform
    return draw(where.low, where.high)


def test_every_planner_but_floors_and_ceiling_can_be_tuned():
    assert tunable_planners() == ALL
    assert set(PLANNERS.names()) - set(ALL) == BOUNDS
    for name in BOUNDS:
        with pytest.raises(UserError, match=f"'{name}'.*search_space"):
            search_space(name)


@pytest.mark.parametrize("name", ALL)
def test_every_corner_and_any_point_is_a_planner(name):
    space, rng = search_space(name), random.Random(0)
    assert 2 <= len(space) <= 6
    for corner in itertools.product(*map(ends, space.values())):
        make_planner(name, dict(zip(space, corner)))
    for _ in range(50):
        point = {key: drawn(where, rng) for key, where in space.items()}
        assert all(value in space[key] for key, value in point.items())
        make_planner(name, point)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"sigmo": FloatRange(0.1, 1)}, "'sigmo'"),
        ({"sigma": FloatRange(2, 3)}, "sigma=1.0"),
    ],
)
def test_a_space_that_does_not_fit_the_planner_is_refused(monkeypatch, space, message):
    monkeypatch.setattr(PLANNERS.get("cem"), "search_space", space)
    with pytest.raises(UserError, match=message):
        search_space("cem")
