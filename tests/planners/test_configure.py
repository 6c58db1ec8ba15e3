import json
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from grasp_bench import registry
from grasp_bench.errors import UserError
from grasp_bench.planners import CEM, GD, GRASP, PLANNERS, make_planner, planner_config

NAMES = [
    *("cem", "gd", "latco", "grasp"),
    *("grasp-plus", "gd-adam", "icem", "mppi", "grad-cem", "latco-gn"),
    *("zero", "random", "demo"),
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
    restored = json.loads(json.dumps(planner_config(planner)))
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
    assert make_planner("grasp", json.loads(json.dumps(planner_config(planner)))) == planner


def test_a_whole_number_is_a_rate_too():
    lr = planner_config(make_planner("gd", {"lr": 2}))["lr"]
    assert isinstance(lr, float)
    assert lr == 2.0


@pytest.mark.parametrize(
    ("name", "overrides", "sentence"),
    [
        ("graps", {}, "unknown planner 'graps': did you mean 'grasp'?"),
        ("cem", {"elite": 3}, "'cem' has no hyperparameter 'elite': did you mean 'elites'?"),
        ("zero", {"lr": 3}, "'zero' has no hyperparameters, so 'lr' cannot be set"),
        ("cem", {"samples": "many"}, "cem: samples must be a whole number, not 'many'"),
        ("cem", {"samples": 3.5}, "cem: samples must be a whole number, not '3.5'"),
        ("cem", {"samples": True}, "cem: samples cannot be set to 'True'"),
        ("cem", {"samples": 0, "elites": 2}, "cem: samples must be at least 1, not 0"),
        ("cem", {"elites": 301}, "between 2 and the number of samples (300), not 301"),
        ("cem", {"elites": 1}, "between 2 and the number of samples (300), not 1"),
        ("grasp", {"cem_elites": 65}, "between 2 and the number of samples (64), not 65"),
        ("gd", {"lr": -1}, "gd: lr must be a finite number of at least 0, not -1.0"),
        ("gd", {"lr": "nan"}, "gd: lr must be a finite number of at least 0, not nan"),
        ("gd", {"lr": float("inf")}, "gd: lr must be a finite number of at least 0, not inf"),
        ("gd", {"lr": "fast"}, "gd: lr must be a number, not 'fast'"),
        ("gd", {"optimiser": "adamw"}, "gd: optimiser must be one of sgd, adam, not 'adamw'"),
        ("grasp", {"stop_state_gradient": "no"}, "must be true or false, not 'no'"),
        ("grasp", {"stop_state_gradient": 1}, "must be true or false, not '1'"),
        ("grasp", {"final_noise": "off"}, "grasp: final_noise must be a number, not 'off'"),
        ("grasp", {"final_noise": -1}, "final_noise must be a finite number of at least 0"),
        ("grasp", {"state_noise": None}, "grasp: state_noise must be a number, not 'None'"),
        ("grasp", {"yield_every": "0"}, "grasp: yield_every must be at least 1, not 0"),
        ("icem", {"decay": 0.5}, "icem: decay must be at least 1, not 0.5"),
        ("icem", {"momentum": 1.5}, "icem: momentum must be at most 1, not 1.5"),
        ("mppi", {"temperature": 0}, "mppi: temperature must be greater than 0"),
        ("latco", {"iterations": -5}, "latco: iterations must be at least 1, not -5"),
    ],
)
def test_a_bad_override_is_one_sentence_for_the_user(name, overrides, sentence):
    with pytest.raises(UserError) as error:
        make_planner(name, overrides)
    assert sentence in str(error.value)
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
    assert planner_config(planner) == {"wait": 2.5, "label": "7"}


def test_a_plugin_that_does_not_load_is_named(monkeypatch):
    offer(monkeypatch, "Missing")
    with pytest.raises(UserError, match=r"'patient' of the installed package .* does not load"):
        make_planner("patient", {})


def test_a_plugin_that_is_no_dataclass_is_refused(monkeypatch):
    offer(monkeypatch, "offer")
    with pytest.raises(UserError, match="'patient' is not a dataclass"):
        make_planner("patient", {})
