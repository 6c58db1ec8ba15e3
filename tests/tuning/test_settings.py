"""Tuned settings: read as they were written, used by default, and named in results."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from grasp_bench.analysis.ablation import ablation_sheets
from grasp_bench.analysis.aggregate import build_table, combine
from grasp_bench.analysis.provenance import commands, hashes
from grasp_bench.core.errors import UserError
from grasp_bench.models import load_model
from grasp_bench.planners import make_planner
from grasp_bench.run.store import read_results
from grasp_bench.tuning.settings_file import (
    TunedCell,
    TunedSettings,
    TuningBudget,
    read_settings,
    write_settings,
)
from grasp_bench.tuning.study import tunable_planners

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"


def cell(**settings):
    return TunedCell(settings, par2=1.0, success=0.75, default_par2=2.0, default_success=0.5)


@pytest.fixture
def content():
    return TunedSettings(
        model="tiny",
        model_sha256="a" * 64,
        tuning=TuningBudget(settings=10, tasks=16, budget=2.0, clock="wall", workers=2),
        made={"cpu": "a processor", "date": "2026-01-01"},
        planners={
            "cem": {10: cell(samples=24, elites=4), 30: cell(samples=16, elites=4)},
            "gd": {10: cell(optimiser="adam", lr=0.2)},
        },
    )


@pytest.fixture
def tuned_model(responsive_checkpoint, content, tmp_path):
    """A checkpoint with tuned settings beside it, and what writes others."""
    for suffix in (".safetensors", ".json"):
        source = responsive_checkpoint.with_suffix(suffix)
        (tmp_path / f"tiny{suffix}").write_bytes(source.read_bytes())
    checkpoint = tmp_path / "tiny.safetensors"
    fitting = replace(content, model_sha256=load_model(str(checkpoint)).sha256)

    def write(**changes):
        write_settings(tmp_path / "settings" / "tiny.json", replace(fitting, **changes))

    write()
    return checkpoint, write


@pytest.fixture
def run(cli, tuned_model, in_this_process):
    """Runs planners in a moment; returns what the command printed."""

    def run(*options, planners="cem", horizons="20", out="out", code=0):
        given = (
            "sweep", "--planners", planners, "--horizons", horizons, "--trials", 1,
            "--clock", "iterations", "--budget", 2, "--workers", 1, "--model", tuned_model[0],
            "--out", out, *options,
        )  # fmt: skip
        found, text, err = cli(*given)
        assert found == code, err
        return text + err

    return run


def test_a_file_is_read_as_it_was_written(content, tmp_path):
    path = tmp_path / "deep" / "tiny.json"
    write_settings(path, content)
    assert read_settings(path).content == content


@pytest.mark.parametrize(("horizon", "samples"), [(10, 24), (15, 24), (20, 16), (25, 16), (80, 16)])
def test_the_nearest_horizon_counts_and_the_longer_of_two(content, horizon, samples):
    assert content.nearest("cem", horizon).settings["samples"] == samples
    assert content.nearest("mppi", horizon) is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"settings_version": 2}', '{"settings_version": 1, "planners": {}}'],
)
def test_what_is_no_settings_file_is_refused_in_a_sentence(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.json"):
        read_settings(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("keys", "value", "named"),
    [
        (("model",), None, "model"),
        (("model_sha256",), 5, "model_sha256"),
        (("made",), [], "made"),
        (("planners",), [], "planners"),
        (("planners", "gd"), [], "gd"),
        (("planners", "gd", "10"), None, "10"),
        (("planners", "gd", "ten"), {}, "ten"),
        (("planners", "gd", "-10"), {}, "-10"),
        (("planners", "gd", "10", "settings"), "lr=1", "settings"),
        (("planners", "gd", "10", "settings", "lr"), [0.1], "lr"),
        (("planners", "gd", "10", "settings", "lr"), float("nan"), "lr"),
        (("planners", "gd", "10", "settings", "optimiser"), "ad\nam", "printable"),
        (("planners", "gd", "10", "settings", "sgd" * 100), 1, "printable"),
        (("planners", "gd", "10", "success"), 1.5, "success"),
        (("planners", "gd", "10", "default_success"), float("nan"), "default_success"),
        (("planners", "gd", "10", "par2"), "2.0", "par2"),
        (("planners", "gd", "10", "par2"), 10**400, "par2"),
        (("planners", "gd", "10", "seed"), 3, "seed"),
        (("tuning",), 3, "tuning"),
        (("tuning", "settings"), True, "settings"),
        (("tuning", "tasks"), 0, "tasks"),
        (("tuning", "workers"), 10**9, "workers"),
        (("tuning", "budget"), float("inf"), "budget"),
        (("tuning", "budget"), -1.0, "budget"),
        (("tuning", "clock"), ["wall"], "clock"),
        (("tuning", "clock"), "sundial", "clock"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_named(content, tmp_path, keys, value, named):
    path = tmp_path / "a.json"
    write_settings(path, content)
    changed = json.loads(path.read_text())
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(changed))
    with pytest.raises(UserError, match=named) as error:
        read_settings(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "data", [b"[" * 10_000, b"\xff\xfe{}", b'{"settings_version": 1' + b" " * 2**23 + b"}"]
)
def test_settings_of_any_bytes_are_refused(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.json"):
        read_settings(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"sample": 8}, "sample"), ({"samples": "many"}, "many"), ({"samples": None}, "samples")],
)
def test_settings_that_a_planner_does_not_have_are_refused_when_used(
    tuned_model, refused, settings, named
):
    tuned_model[1](planners={"cem": {20: cell(**settings)}})
    given = ("run", "--planner", "cem", "--horizon", 20, "--model", tuned_model[0])
    assert named in refused(*given)


def test_tuned_settings_are_used_and_the_label_says_what_is_not_theirs(run, tmp_path):
    text = run(planners="cem,zero", horizons="10,20")
    assert "the best of 10 settings on 16 tuning tasks" in " ".join(text.split())
    trials = read_results(tmp_path / "out").set_index(["planner", "horizon"])
    assert set(trials["planner_label"]) == {"cem", "zero"}
    for horizon, samples in ((10, 24), (20, 16)):
        assert json.loads(trials["hyperparameters"]["cem", horizon])["samples"] == samples
        assert trials["hyperparameters_source"]["cem", horizon] == "tuned"
        assert trials["hyperparameters_source"]["zero", horizon] == "default"
        assert len(trials["tuning_sha256"]["cem", horizon]) == 64

    run(planners="cem,zero", horizons="10,20")  # and goes on
    assert len(read_results(tmp_path / "out")) == 4

    labels = {
        "cem[elites=8]": ("--set", "cem.elites=8"),
        "cem[untuned]": ("--untuned",),
        "cem[untuned, samples=40]": ("--untuned", "--set", "cem.samples=40"),
    }
    for label, options in labels.items():
        run(*options, out=label)
        trials = read_results(tmp_path / label)
        assert trials["planner_label"].tolist() == [label]
        tuned = "untuned" not in label
        assert trials["hyperparameters_source"].tolist() == ["tuned" if tuned else "default"]
        config = json.loads(trials["hyperparameters"][0])
        expected = (16, 8) if tuned else (300 if label == "cem[untuned]" else 40, 30)
        assert (config["samples"], config["elites"]) == expected


def test_settings_that_do_not_count_here_are_refused_and_not_needed(run, tuned_model):
    _, write = tuned_model
    write(model_sha256="f" * 64)
    text = run(code=2)
    assert "ffffffffffff" in text
    assert text.count("\n") == 1
    run("--untuned")
    write(planners={"cem": {10: cell(sampels=3)}})
    assert "'sampels'" in run(code=2)


def test_a_folder_that_calls_other_settings_the_same_is_left_alone(run, tuned_model):
    _, write = tuned_model
    run()
    write(planners={"cem": {10: cell(samples=20, elites=4)}})
    assert "'cem'" in run(code=2)
    run(out="other")
    same_trial = ("--untuned", "--set", "cem.samples=20", "--set", "cem.elites=4")
    text = run(*same_trial, out="other", code=2)
    assert "'cem'" in text
    assert "cem[untuned, " in text


@pytest.fixture
def trials(results):
    """Tuned planners with settings of their own at two horizons, and one with its defaults."""
    tuned = {"hyperparameters_source": "tuned", "tuning_sha256": "e" * 64, "tuning_budget": "found"}

    def at(horizon):
        hyperparameters = {
            "hyperparameters": json.dumps({"samples": horizon, "lr": 2.0}),
            "hyperparameters_sha256": str(horizon) * 32,
        }
        solved, name = {"cem": range(3), "gd[lr=2.0]": range(2)}, f"{horizon}.parquet"
        return results(solved, horizon=horizon, name=name, **hyperparameters, **tuned)

    defaults = {"mppi": range(3), "cem[untuned]": [1]}
    return combine([at(40), at(80), results(defaults, name="d", hyperparameters_source="default")])


def test_a_table_says_where_hyperparameters_come_from(trials, results):
    notes = build_table(trials).notes
    assert any("gd[lr=2.0]" in note for note in notes)
    (note,) = [note for note in notes if "eeeeeeeeeeee" in note]
    tuned, default = note.split("eeeeeeeeeeee")
    assert "settings/tiny.json" in tuned
    assert all(planner in tuned for planner in ("CEM", "GD"))
    assert all(planner in default for planner in ("CEM[untuned]", "MPPI"))


def test_commands_and_hashes_know_tuned_settings(trials):
    tuned, default = sorted(commands(trials), key=lambda command: "--untuned" in command)
    assert "--planners cem,gd --set gd.lr=2.0 --horizons 40,80 --trials 40 --tasks" in tuned
    assert "--planners cem,mppi --horizons 40 --trials 40 --untuned --tasks" in default
    found = hashes(trials, [])
    assert "e" * 64 in found.values()
    assert found["configuration cem at H=80"] == "80" * 32


def test_an_ablation_says_what_differs_by_horizon(trials):
    cem, *_ = ablation_sheets(trials, intervals=False)
    assert cem.records[0]["samples"] == "by horizon"


def test_one_label_is_of_one_file(trials, results):
    other = results(
        {"cem": range(3)}, horizon=20, name="other.parquet", hyperparameters_source="tuned",
        tuning_sha256="d" * 64, tuning_budget="found",
    )  # fmt: skip
    with pytest.raises(UserError, match="'cem'"):
        build_table(combine([trials, other]))


@pytest.mark.parametrize("path", sorted(CHECKPOINTS.glob("settings/*.json")), ids=lambda p: p.stem)
def test_the_shipped_settings_are_of_the_shipped_checkpoints(path):
    card = json.loads((CHECKPOINTS / path.name).read_text())
    found = read_settings(path)
    assert found.fits(card["sha256"])
    assert found.content.model == path.stem
    for name, cells in found.content.planners.items():
        assert name in tunable_planners()
        for own in cells.values():
            make_planner(name, own.settings)
