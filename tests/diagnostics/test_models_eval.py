"""`grasp-bench models eval` as a user calls it."""

import json
import shutil

import pytest
from PIL import Image

from grasp_bench.cli.app import main
from grasp_bench.diagnostics.encoding import encode_states
from grasp_bench.diagnostics.model_report import evaluate_model, store_probe
from grasp_bench.diagnostics.report_settings import EvaluationSettings, ProbeSettings
from grasp_bench.diagnostics.report_sheets import render_report
from grasp_bench.models import load_model


@pytest.fixture
def evaluate(capsys, data_folders):
    """Runs the command; returns exit code, stdout and stderr."""

    def run(checkpoint, *options):
        folders = ["--data", data_folders / "train", "--held-out", data_folders / "held-out"]
        with pytest.raises(SystemExit) as stop:
            main([str(part) for part in ("models", "eval", checkpoint, *folders, *options)])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run


SMALL = ("--tasks", "3", "--brittleness-tasks", "2", "--alternatives", "20")


def test_a_report_goes_to_the_screen_the_card_and_figures(
    evaluate, responsive_checkpoint, tmp_path
):
    path = tmp_path / "tiny.safetensors"
    for suffix in (".safetensors", ".json"):
        shutil.copy(responsive_checkpoint.with_suffix(suffix), path.with_suffix(suffix))
    card = json.loads(path.with_suffix(".json").read_text())
    card["held_out"] = {"open_loop": {"1": {}}, "ranking": "of an older report"}
    path.with_suffix(".json").write_text(json.dumps(card))

    options = ("--sections", "ranking,smoothness,brittleness", *SMALL)
    code, out, err = evaluate(
        path, *options, "--format", "json", "--update-card", "--figures", tmp_path / "figures"
    )
    assert code == 0, err
    report = json.loads(out)
    assert report["ranking"]["all"]["plans"] == 20
    assert report["brittleness"]["tasks"] == 2
    assert report["evaluation"]["settings"]["tasks"] == 3
    updated = json.loads(path.with_suffix(".json").read_text())
    assert updated == card | {"held_out": {"open_loop": {"1": {}}} | report}
    assert load_model(str(path)).card == updated

    drawn = {file.stem for file in (tmp_path / "figures").glob("*.png")}
    assert drawn == {
        "ranking", "smoothness", "gradient_step", "decoded", "open_loop", "brittleness"
    }  # fmt: skip
    for name in drawn:
        assert Image.open(tmp_path / "figures" / f"{name}.png").width > 300


def test_the_same_seed_gives_the_same_report(evaluate, responsive_checkpoint):
    options = ("--sections", "ranking,smoothness", *SMALL, "--format", "markdown")
    code, out, _ = evaluate(responsive_checkpoint, *options)
    assert code == 0
    assert "| all | 20 |" in out
    assert evaluate(responsive_checkpoint, *options)[1] == out
    assert evaluate(responsive_checkpoint, *options, "--seed", 1)[1] != out


def test_probes_and_open_loop_errors_are_tables_too(train, held_out, tiny_checkpoint):
    model = load_model(str(tiny_checkpoint)).model
    probes = ProbeSettings(frames=500, steps=20, hidden=64, choice_frames=100)
    settings = EvaluationSettings(probes=probes, rollout_episodes=5)
    evaluation = evaluate_model(model, train, held_out, settings, ["probes"])
    report = evaluation.report
    assert report["open_loop"]["16"]["copy_block_px_median"] > 0
    text = render_report(report, "markdown")
    assert "| linear |" in text
    assert "| 16 |" in text
    assert "500 frames, 2 x 64, 20 steps of 512" in text
    assert "model steps" in render_report(report, "rich")
    assert "\nopen_loop,16,copy_block_px_median," in render_report(report, "csv")


def test_the_best_probe_is_kept_beside_the_checkpoint(train, held_out, tiny_checkpoint, tmp_path):
    path = tmp_path / "tiny.safetensors"
    for suffix in (".safetensors", ".json"):
        shutil.copy(tiny_checkpoint.with_suffix(suffix), path.with_suffix(suffix))
    before = load_model(str(path))
    assert before.probe_sha256 is None
    probes = ProbeSettings(frames=500, steps=20, hidden=64, choice_frames=100)
    settings = EvaluationSettings(probes=probes, rollout_episodes=5)
    evaluation = evaluate_model(before.model, train, held_out, settings, ["probes"])
    assert store_probe(evaluation, path, before.sha256) == tmp_path / "probes" / path.name
    after = load_model(str(path))
    assert after.probe_sha256 is not None
    states = held_out.states[:2, 0].astype("float64")
    read = after.model.probe.read(encode_states(after.model, states))
    assert read.shape == (2, 7)
    assert abs(read[:, :2] - states[:, :2]).max() < 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--sections", "probes,rankin"], "unknown section 'rankin': did you mean 'ranking'?"),
        (["--sections", ","], "names nothing"),
        (["--horizon", "42"], "not a multiple"),
        (["--tasks", "400"], "400 tasks asked for"),
        (["--held-out", "nowhere"], "no demonstrations in nowhere"),
        (["--device", "abacus"], "abacus"),
        (["--sections", "ranking", "--store-probe"], "--store-probe needs the section probes"),
    ],
)
def test_bad_input_is_one_sentence(evaluate, tiny_checkpoint, options, sentence):
    code, out, err = evaluate(tiny_checkpoint, *options)
    assert code == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err


def test_an_unknown_model_is_one_sentence(evaluate):
    code, _, err = evaluate("pusht-compct")
    assert code == 2
    assert "did you mean 'pusht-compact'?" in err


def test_models_alone_lists_them(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["models"])
    assert stop.value.code == 0
    assert "pusht-compact" in capsys.readouterr().out
