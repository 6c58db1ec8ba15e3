import json
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from grasp_bench.core import registry
from grasp_bench.core.errors import UserError
from grasp_bench.planners import CEM, GD, GRASP, PLANNERS, hyperparameters, make_planner

NAMES = [
    *("cem", "gd", "latco", "grasp"),
    *("sift", "gd-adam", "lbfgs", "icem", "mppi", "predictive-sampling", "grad-cem", "latco-gn"),
    *("grasp-plus", "prism", "leap", "prior-rerank", "prior-mean"),
    *("zero", "random", "shuffled-demo", "demo"),
]


@dataclass(frozen=True)
class Patient:
    name: ClassVar[str] = "patient"
    reference: ClassVar[str] = "none"

    wait: float = 1.0
    label: str = "slow"

    def plan(self, problem, noise):
        yield from ()


def test_the_papers_planners_come_first_and_bounds_last():
    assert PLANNERS.names()[: len(NAMES)] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_planner_survives_a_trip_through_json(name):
    planner = make_planner(name, {})
    assert planner.name == name
    restored = json.loads(json.dumps(hyperparameters(planner)))
    assert make_planner(name, restored) == planner


def test_strings_and_typed_values_mean_the_same():
    text = {"sync": "cem", "stop_state_gradient": "false", "iterations": "40", "state_lr": "1e-2"}
    typed = {"sync": "cem", "stop_state_gradient": False, "iterations": 40, "state_lr": 0.01}
    expected = GRASP(sync="cem", stop_state_gradient=False, iterations=40, state_lr=0.01)
    assert make_planner("grasp", text) == make_planner("grasp", typed) == expected


@pytest.mark.parametrize(
    ("value", "rate"), [("none", None), ("None", None), (None, None), ("0.1", 0.1), (0, 0.0)]
)
def test_a_rate_that_may_be_absent_is_a_number_or_none(value, rate):
    planner = make_planner("grasp", {"final_noise": value})
    assert planner == GRASP(final_noise=rate)
    assert make_planner("grasp", json.loads(json.dumps(hyperparameters(planner)))) == planner


def test_a_whole_number_is_a_rate_too():
    lr = hyperparameters(make_planner("gd", {"lr": 2}))["lr"]
    assert isinstance(lr, float)
    assert lr == 2.0


@pytest.mark.parametrize(
    ("name", "overrides", "named"),
    [
        ("graps", {}, ["'graps'", "'grasp'"]),
        ("cem", {"elite": 3}, ["'elite'", "'elites'"]),
        ("zero", {"lr": 3}, ["'zero'", "'lr'"]),
        ("cem", {"samples": "many"}, ["cem", "samples", "'many'"]),
        ("cem", {"samples": 3.5}, ["samples", "'3.5'"]),
        ("cem", {"samples": True}, ["samples", "'True'"]),
        ("cem", {"samples": 0, "elites": 2}, ["samples", "1", "0"]),
        ("cem", {"elites": 301}, ["2", "300", "301"]),
        ("cem", {"elites": 1}, ["2", "300", "1"]),
        ("grasp", {"cem_elites": 65}, ["2", "64", "65"]),
        ("gd", {"lr": -1}, ["gd", "lr", "-1.0"]),
        ("gd", {"lr": "nan"}, ["lr", "nan"]),
        ("gd", {"lr": float("inf")}, ["lr", "inf"]),
        ("gd", {"lr": "fast"}, ["lr", "'fast'"]),
        ("gd", {"optimiser": "adamw"}, ["optimiser", "sgd, adam", "'adamw'"]),
        ("grasp", {"stop_state_gradient": "no"}, ["stop_state_gradient", "'no'"]),
        ("grasp", {"stop_state_gradient": 1}, ["stop_state_gradient", "'1'"]),
        ("grasp", {"final_noise": "off"}, ["final_noise", "'off'"]),
        ("grasp", {"final_noise": -1}, ["final_noise", "-1.0"]),
        ("grasp", {"state_noise": None}, ["state_noise", "'None'"]),
        ("grasp", {"yield_every": "0"}, ["yield_every", "1", "0"]),
        ("icem", {"decay": 0.5}, ["decay", "1", "0.5"]),
        ("icem", {"momentum": 1.5}, ["momentum", "1", "1.5"]),
        ("mppi", {"temperature": 0}, ["temperature", "0"]),
        ("latco", {"iterations": -5}, ["iterations", "1", "-5"]),
    ],
)
def test_a_bad_override_is_one_sentence_that_names_it(name, overrides, named):
    with pytest.raises(UserError) as error:
        make_planner(name, overrides)
    assert all(word in str(error.value) for word in named)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", [{"elites": 5, "samples": 4}, {"sigma": float("nan")}])
def test_the_constructor_checks_as_well(bad):
    with pytest.raises(UserError, match="cem"):
        CEM(**bad)


def test_hyperparameters_cannot_be_changed_afterwards():
    with pytest.raises(AttributeError):
        GD().lr = 2.0


def entry(target):
    return EntryPoint("patient", f"{__name__}:{target}", "grasp_bench.planners")


def offer(monkeypatch, target):
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group: [entry(target)] if group == "grasp_bench.planners" else [],
    )


def test_an_installed_package_adds_a_planner(monkeypatch):
    offer(monkeypatch, "Patient")
    assert PLANNERS.names() == [*NAMES, "patient"]
    planner = make_planner("patient", {"wait": "2.5", "label": "7"})
    assert hyperparameters(planner) == {"wait": 2.5, "label": "7"}


def test_a_plugin_that_does_not_load_is_named(monkeypatch):
    offer(monkeypatch, "Missing")
    with pytest.raises(UserError, match=f"'patient'.*'{__name__}:Missing'"):
        make_planner("patient", {})


def test_a_plugin_that_is_no_dataclass_is_refused(monkeypatch):
    offer(monkeypatch, "offer")
    with pytest.raises(UserError, match="'patient'"):
        make_planner("patient", {})


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("no_such_module:Patient", "ModuleNotFoundError"),
        (f"{__name__}:", "patient"),
        ("not a reference", "patient"),
        ("this:Patient", "AttributeError"),
    ],
)
def test_any_registry_says_why_an_installed_package_does_not_load(
    monkeypatch, target, named, capsys
):
    broken = EntryPoint("patient", target, "some.group")
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    things = registry.Registry("thing", "some.group")
    assert things.names() == ["patient"]
    with pytest.raises(UserError, match=r"thing 'patient'.*does not load") as error:
        things.get("patient")
    assert named in str(error.value)
    assert capsys.readouterr().out == ""  # `this` prints a poem
