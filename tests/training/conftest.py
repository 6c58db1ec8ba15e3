"""The command line and small datasets, shared by the tests of training."""

from collections.abc import Callable
from pathlib import Path

import pytest

from grasp_bench.cli import main


def _run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    return exit_.value.code


@pytest.fixture(scope="session")
def grasp_bench() -> Callable[..., int | str | None]:
    """Runs a command in this process; returns its exit code."""
    return _run


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a shard of demonstrations of each split, `train` and `held-out`."""
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "held-out"):
        arguments = ["--split", split, "--out", str(folder / split), "--episodes", "400"]
        assert _run("data", "collect", *arguments) == 0
    return folder
