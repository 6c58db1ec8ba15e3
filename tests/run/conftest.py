"""The settings of run folders, shared by their tests."""

import pytest

from grasp_bench.models import load_model
from grasp_bench.run.preparation import run_settings
from grasp_bench.tasks import load_tasks


@pytest.fixture
def settings(make_protocol, tiny_checkpoint):
    """The settings of a run folder, some of them replaced."""
    loaded, task_set = load_model(str(tiny_checkpoint)), load_tasks("eval", 40, 1)
    shared = run_settings(loaded, task_set, make_protocol())
    return lambda **values: shared | values
