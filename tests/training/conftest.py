"""The command line and small datasets, shared by the tests of training."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from grasp_bench.cli.app import main
from grasp_bench.diagnostics.report_settings import ProbeSettings


def _run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    return exit_.value.code


@pytest.fixture(scope="session")
def grasp_bench() -> Callable[..., int | str | None]:
    """Runs a command in this process; returns its exit code."""
    return _run


@pytest.fixture(scope="package")
def datasets(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Path]:
    """A folder of a shard of 50 demonstrations of each split, `train` and `held-out`.

    The test processes share it: the first collects, and the others wait.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "training-data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grasp_bench.tasks.demonstrations.SHARD_EPISODES", 50)
        with FileLock(f"{folder}.lock"):
            for split in ("train", "held-out"):
                arguments = ["--split", split, "--out", str(folder / split), "--episodes", "40"]
                assert _run("data", "collect", *arguments) == 0
        yield folder


@pytest.fixture(autouse=True, scope="package")
def few_probe_steps() -> Iterator[None]:
    """Fits the probes of a new checkpoint's card on few frames."""
    few = {"frames": 2_000, "steps": 100, "token_frames": 500, "token_steps": 20}
    probes = ProbeSettings(**few, token_batch=32, choice_frames=100, held_out_frames=300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grasp_bench.training.pipeline.QUICK_PROBES", probes)
        yield
