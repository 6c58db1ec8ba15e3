"""The wheel works in an environment of its own, beside folders of any name."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("grasp_bench", "envs", "checkpoints", "pyproject.toml", "README.md", "LICENSE")
OFFLINE = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the source, which a build leaves files in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / part, source / part)
    pip = (sys.executable, "-m", "pip", "wheel", *OFFLINE, "--no-build-isolation")
    subprocess.run([*pip, "-w", str(out), str(source)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Runs Python where the wheel is installed, in a folder of other people's packages."""
    environment, folder = tmp_path_factory.mktemp("venv"), tmp_path_factory.mktemp("project")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    executable = environment / "bin" / "python"
    (site,) = environment.glob("lib/python*/site-packages")
    # The dependencies are those of the tests; a development install is not among them.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = (sys.executable, "-m", "pip", "--python", str(executable), "install", *OFFLINE)
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    for name in ("envs", "models", "tests"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('not ours')\n")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments):
        return subprocess.run(
            [executable, *map(str, arguments)],
            cwd=folder,
            env=clean,
            capture_output=True,
            text=True,
        )

    return run


def test_the_wheel_claims_one_import_name(wheel):
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith((".dist-info", ".data"))} == {"grasp_bench"}


def test_a_run_works_beside_packages_named_envs_models_and_tests(python):
    done = python(
        "-m", "grasp_bench", "run", "--planner", "demo", "--horizon", 10, "--trials", 2,
        "--workers", 1, "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pusht-h10-0001" in done.stdout
    where = python("-c", "import grasp_bench.envs.pusht as e; print(e.__file__)").stdout
    assert where.strip().endswith("site-packages/grasp_bench/envs/pusht/__init__.py")
    assert str(ROOT) not in where


def test_gymnasium_makes_the_environment_without_an_import(python):
    script = (
        "import gymnasium as gym; env = gym.make('grasp_bench.envs.gym:grasp_bench/PushT-v0');"
        "print(env.reset(seed=0)[0]['pixels'].shape)"
    )
    done = python("-c", script)
    assert done.stdout.strip() == "(64, 64, 3)", done.stderr
