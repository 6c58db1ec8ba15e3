"""The command line: what it prints, and one sentence for every bad input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from grasp_bench.cli.app import main
from grasp_bench.run.schema import NAMES
from grasp_bench.run.store import read_results, write_rows


def run_command(checkpoint, **changes):
    options = {"planner": "cem", "horizon": 10, "trials": 1, "model": checkpoint} | changes
    return ["run", *(part for k, v in options.items() for part in (f"--{k.replace('_', '-')}", v))]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"planner": "grsap"}, "'grasp'"),
        ({"set": "sampels=3"}, "'samples'"),
        ({"set": "samples=many"}, "'many'"),
        ({"set": "samples"}, "--set samples"),
        ({"horizon": 42}, "frameskip 5"),
        ({"horizon": 0}, "horizon 0"),
        ({"horizon": 45}, "45"),
        ({"trials": 501}, "501"),
        ({"tasks": "evil"}, "'evil'"),
        ({"budget": 0}, "--budget"),
        ({"budget": "nan"}, "--budget"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"replan_every": 2}, "--replan-every"),
        ({"workers": 999}, "999"),
        ({"model": "missing.safetensors"}, "missing.safetensors"),
        ({"model": "no-such-model"}, "no-such-model"),
        ({"model": "missing.py:make"}, "missing.py"),
        ({"planner": "missing.py:Mine"}, "missing.py"),
    ],
)
def test_bad_input_is_one_sentence(refused, tiny_checkpoint, changes, named):
    assert named in refused(*run_command(tiny_checkpoint, **changes))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--planners", "cem,gdd", "--horizons", "10"], "'gd'"),
        (["--planners", ",", "--horizons", "10"], "','"),
        (["--planners", "cem", "--horizons", "10,x"], "10,x"),
        (["--planners", "cem", "--horizons", "10", "--set", "gd.lr=1"], "gd.lr=1"),
        (["--planners", "cem", "--horizons", "10", "--set", "lr=1"], "lr=1"),
    ],
)
def test_bad_sweeps_are_one_sentence(refused, tiny_checkpoint, arguments, named):
    assert named in refused("sweep", *arguments, "--model", tiny_checkpoint)


def test_a_truncated_checkpoint_is_refused(refused, tiny_checkpoint, tmp_path):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(tiny_checkpoint.read_bytes()[:-100])
    copy.with_suffix(".json").write_text(tiny_checkpoint.with_suffix(".json").read_text())
    assert "copy.safetensors" in refused(*run_command(copy))


def test_an_unwritable_folder_is_refused_before_any_work(refused, tiny_checkpoint, tmp_path):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "run"
    assert str(out) in refused(*run_command(tiny_checkpoint, out=out))


def test_a_folder_begun_with_other_settings_is_left_alone(
    refused, tiny_checkpoint, tmp_path, make_row
):
    folder = tmp_path / "run"
    folder.mkdir()
    write_rows(folder / "trials.parquet", [make_row()])
    content = (folder / "trials.parquet").read_bytes()
    assert "--out" in refused(*run_command(tiny_checkpoint, out=folder))
    assert (folder / "trials.parquet").read_bytes() == content


def test_tables_of_what_is_no_results_file_are_refused(refused, tmp_path):
    assert "missing.parquet" in refused("table", "missing.parquet")
    (tmp_path / "bad.parquet").write_text("not parquet")
    assert "bad.parquet" in refused("table", "bad.parquet")


def test_a_table_that_cannot_be_written_is_one_sentence(refused, tmp_path, make_row):
    write_rows(tmp_path / "trials.parquet", [make_row()])
    assert str(tmp_path) in refused("table", "trials.parquet", "-o", tmp_path)
    assert "trials.parquet" in refused("table", "trials.parquet", "-o", "trials.parquet/x.md")


def test_debug_shows_the_traceback(tmp_path, monkeypatch):
    from grasp_bench.core.errors import UserError

    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        main(["--debug", "table", "missing.parquet"])


def test_unknown_options_are_usage_errors(cli):
    code, _, err = cli("run", "--planer", "cem")
    assert code == 2
    assert "--planer" in err


def test_a_run_prints_a_line_per_trial_and_a_summary_and_leaves_the_columns(cli, tiny_checkpoint):
    command = run_command(
        tiny_checkpoint, horizon=80, trials=3, clock="iterations", budget=2, workers=1,
        set="samples=16", out="run",
    )  # fmt: skip
    code, out, _ = cli(*command, "--set", "elites=4")
    assert code == 0
    lines = out.splitlines()
    assert sum(line.startswith("pusht-h80-000") for line in lines) == 3
    assert "H=80" in out
    assert lines[-1] == "run/trials.parquet"
    trials = read_results_of("run")
    assert set(NAMES) < set(trials.columns)
    assert {"success_final", "success_block", "final_plan_block_distance"} < set(trials.columns)
    assert trials["planner_label"].unique().tolist() == ["cem[elites=4, samples=16]"]
    assert json.loads(trials["hyperparameters"][0])["samples"] == 16

    code, out, _ = cli(*command, "--set", "elites=4")
    assert code == 0
    assert "pusht-h80-0000" not in out  # all done before
    code, out, err = cli(*command, "--set", "elites=4", "--seed", "1")
    assert code == 2
    assert "master_seed 0 and 1" in err


def test_a_closed_loop_run_is_another_run_and_comes_back(
    cli, responsive_checkpoint, in_this_process
):
    command = run_command(responsive_checkpoint, clock="iterations", budget=4, out="mpc")
    command += ["--set", "samples=16", "--set", "elites=4", "--protocol", "mpc"]
    assert cli(*command)[0] == 0
    trials = read_results_of("mpc")
    assert trials["protocol"].tolist() == ["mpc"]
    assert trials["replan_every"].tolist() == [1]
    assert trials["replan_candidates"].tolist() == ["2 2"]
    assert cli("results", "check", "mpc", "--model", responsive_checkpoint)[0] == 0
    code, out, _ = cli("replay", "mpc", "cem-*", "--model", responsive_checkpoint, "--size", "64")
    assert code == 0
    assert trials["plan_sha256"][0][:12] in out
    code, _, err = cli("figure", "traces", "mpc", "cem-*", "--model", responsive_checkpoint)
    assert code == 2
    assert trials["trial_key"][0] in err
    for changed, named in (
        (["--replan-every", "2"], "replan_every 1 and 2"),
        (["--protocol", "open-loop"], "protocol mpc and open-loop"),
    ):
        code, _, err = cli(*command, *changed)
        assert code == 2
        assert named in err
    other = run_command(responsive_checkpoint, clock="iterations", budget=4, out="open")
    assert cli(*other, "--set", "samples=16", "--set", "elites=4")[0] == 0
    code, _, err = cli("table", "mpc", "open")
    assert code == 2
    assert "protocol (mpc, open-loop)" in err


def read_results_of(folder):
    return read_results(Path(folder))


def test_a_table_goes_to_the_screen_or_a_file(cli, tmp_path, make_row):
    write_rows(tmp_path / "trials.parquet", [make_row(success=True, time_to_success=1.0)])
    code, out, _ = cli("table", "trials.parquet", "--format", "markdown")
    assert code == 0
    assert "| H=40 | **100.0% / 1.0 s**" in out
    code, out, _ = cli("table", "trials.parquet", "--format", "csv", "-o", "deep/table.csv")
    assert code == 0
    assert out == "deep/table.csv\n"
    assert (tmp_path / "deep" / "table.csv").read_text().startswith("horizon,grasp_success")


def test_planners_and_models_are_listed(cli):
    code, out, _ = cli("planners")
    assert code == 0
    for word in ("grasp", "latco", "samples=300", "state_noise=0.005"):
        assert word in out
    code, out, _ = cli("models")
    assert code == 0
    assert "model" in out


def test_help_imports_nothing_that_it_does_not_print(tmp_path):
    script = """
import sys
from grasp_bench.cli.app import main
try:
    main(["--help"])
except SystemExit:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    heavy = {"torch", "numpy", "pandas", "pyarrow", "scipy", "matplotlib", "PIL", "jinja2"}
    heavy |= {"safetensors", "gymnasium", "pymunk", "pygame", "optuna", "concurrent", "asyncio"}
    assert "sweep" in done.stdout
    assert not heavy & set(done.stderr.split())
