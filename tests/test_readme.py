"""The planner of the README is a package that joins by being installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README, PLANNERS = ((ROOT / page).read_text() for page in ("README.md", "docs/planners.md"))


def written_out(page, file):
    """The file that a page shows in full."""
    (content,) = re.findall(rf"```\w+\n# {re.escape(file)}\n(.*?)```", page, re.S)
    return content


def test_both_pages_show_the_same_planner():
    assert written_out(README, "my_planner.py") == written_out(PLANNERS, "my_planner.py")


@pytest.fixture(scope="module")
def grasp_bench(tmp_path_factory):
    """Runs a command where the package of the docs is installed."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for file in ("my_planner.py", "pyproject.toml"):
        (source / file).write_text(written_out(PLANNERS, file))
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    install = ("pip", "install", "--quiet", *offline, "--target", str(site), str(source))
    subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True, text=True)
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "grasp_bench", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    return run


def test_the_installed_planner_is_listed(grasp_bench):
    assert "Keep the best of ever more random plans." in grasp_bench("planners")


def test_the_installed_planner_keeps_the_protocols_promises(grasp_bench):
    lines = grasp_bench("check-planner", "random-shooting").splitlines()
    assert len(lines) == 9
    assert all(line.startswith("✓ ") for line in lines)


def test_the_installed_planner_runs(grasp_bench, tmp_path):
    run = ("run", "--planner", "random-shooting", "--horizon", "10", "--trials", "2")
    limits = ("--clock", "iterations", "--budget", "3", "--out", str(tmp_path / "out"))
    output = grasp_bench(*run, *limits, "--set", "sigma=0.5")
    assert "pusht-h10-0001" in output
    assert "random-shooting" in output
