import shutil

import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.core.system import usable_cores
from grasp_bench.run.config import RunConfig
from grasp_bench.run.preparation import prepare


@pytest.fixture
def prepared(tiny_checkpoint, make_protocol):
    """A run that is ready to start; what is given replaces its model, tasks or protocol."""

    def make(model=tiny_checkpoint, horizons=(20,), trials=2, workers=None, **protocol):
        return prepare(
            RunConfig(
                planners=[("cem", {})],
                horizons=horizons,
                trials=trials,
                model=str(model),
                protocol=make_protocol(**protocol),
                workers=workers,
            )
        )

    return make


def test_a_folders_name_follows_from_settings_and_weights_not_from_where_they_lie(
    prepared, tiny_checkpoint, tmp_path
):
    for suffix in (".safetensors", ".json"):
        shutil.copy(tiny_checkpoint.with_suffix(suffix), tmp_path / f"copy{suffix}")
    one, copy = prepared(), prepared(tmp_path / "copy.safetensors")
    assert one.settings["model"] != copy.settings["model"]
    assert one.digest() == copy.digest() == prepared(horizons=(10, 40), trials=9).digest()
    others = [prepared(master_seed=1), prepared(budget=7.0), prepared(stop="never")]
    assert len({run.digest() for run in [one, *others]}) == 4


def test_task_sets_are_cut_to_the_trials(prepared):
    task_sets = prepared(horizons=(10, 20), trials=3).task_sets
    assert {h: len(task_set.tasks) for h, task_set in task_sets.items()} == {10: 3, 20: 3}


def test_seconds_are_not_measured_by_more_workers_than_there_are_cores(prepared):
    cores = usable_cores()
    assert prepared(clock="wall").workers == cores
    assert prepared(threads=cores).workers == 1
    assert prepared(workers=cores + 1).workers == cores + 1  # candidates do not mind
    with pytest.raises(UserError, match=f"{cores + 1} workers"):
        prepared(clock="wall", workers=cores + 1)


@pytest.mark.parametrize("horizon", [0, -5, 22])
def test_a_horizon_is_a_whole_number_of_model_steps(prepared, horizon):
    with pytest.raises(UserError, match=f"{horizon}.*frameskip 5"):
        prepared(horizons=(20, horizon))
