"""What README.md and docs/ show is short, leads somewhere and runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import grasp_bench

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Two trials of three candidates each, whatever the machine.
FAST = ("--horizon", 10, "--trials", 2, "--clock", "iterations", "--budget", 3, "--workers", 1)


def read(page):
    return (ROOT / page).read_text()


def written_out(page, file):
    """The file that a page shows in full."""
    (content,) = re.findall(rf"```\w+\n# {re.escape(file)}\n(.*?)```", read(page), re.S)
    return content


def python_of(page):
    """The Python that a page shows outside files, with fewer trials and less time."""
    blocks = re.findall(r"```python\n(?!# \w+\.py\n|import gymnasium)(.*?)```", read(page), re.S)
    code = re.sub(r'((?:trials|count)"?(?:=|: ))\d+', r"\g<1>2", "".join(blocks))
    return re.sub(r'(budget"?(?:=|: ))[\d.]+', r"\g<1>0.1", code)


def call(*arguments, folder, site=None):
    """Runs `grasp-bench` in a folder; the packages in `site` are installed."""
    paths = [str(path) for path in (site, os.environ.get("PYTHONPATH")) if path]
    return subprocess.run(
        [sys.executable, "-m", "grasp_bench", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_readme_has_at_most_a_thousand_words():
    assert len(read("README.md").split()) <= 1000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_both_pages_show_the_same_planner():
    shown = {written_out(page, "my_planner.py") for page in ("README.md", "docs/your-planner.md")}
    assert len(shown) == 1


@pytest.fixture(scope="module")
def planner_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planner_file")
    (folder / "my_planner.py").write_text(written_out("README.md", "my_planner.py"))
    return folder


def test_the_planner_of_the_readme_keeps_the_protocol(planner_file):
    lines = call("check-planner", "my_planner.py:RandomShooting", folder=planner_file).splitlines()
    assert len(lines) == 10
    assert all(line.startswith("✓ ") for line in lines)


def test_the_planner_of_the_readme_runs_from_its_file(planner_file):
    source = "my_planner.py:RandomShooting"
    call(
        "run", "--planner", source, "--set", "sigma=0.5", *FAST, "--out", "out", folder=planner_file
    )
    trials = grasp_bench.read_results(planner_file / "out")
    assert list(trials["status"]) == ["ok", "ok"]
    assert set(trials["planner"]) == {"random-shooting"}
    assert set(trials["planner_source"]) == {source}
    assert set(trials["candidates"]) == {3}


def test_the_packaged_planner_runs_by_its_name(tmp_path):
    for file in ("my_planner.py", "pyproject.toml"):
        (tmp_path / file).write_text(written_out("docs/your-planner.md", file))
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    install = ("pip", "install", "--quiet", *offline, "--target", "site", ".")
    subprocess.run([sys.executable, "-m", *install], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "elsewhere").mkdir()
    where = {"folder": tmp_path / "elsewhere", "site": tmp_path / "site"}
    call("run", "--planner", "random-shooting", *FAST, "--out", "out", **where)
    trials = grasp_bench.read_results(tmp_path / "elsewhere" / "out")
    assert list(trials["planner_source"]) == ["random-shooting", "random-shooting"]


@pytest.mark.parametrize("environment", ["pusht", "my_environment:POINT"])
def test_the_models_environments_and_tasks_of_the_docs_run(environment, tmp_path):
    (tmp_path / "my_model.py").write_text(written_out("docs/your-model.md", "my_model.py"))
    shown = written_out("docs/your-environment.md", "my_environment.py")
    (tmp_path / "my_environment.py").write_text(shown)
    make_tasks = python_of("docs/your-tasks.md").replace('"pusht"', f'"{environment}"')
    subprocess.run([sys.executable, "-c", make_tasks], cwd=tmp_path, check=True)
    files = ("--tasks", "my_tasks.parquet", "--model", "my_model.py:make_model")
    run = ("run", "--planner", "demo", "--horizon", 40, "--trials", 5, *files)
    call(*run, "--workers", 1, "--out", "out", folder=tmp_path)
    trials = grasp_bench.read_results(tmp_path / "out")
    assert list(trials["success"]) == [True] * 5
    assert set(trials["model_source"]) == {"my_model.py:make_model"}


@pytest.mark.slow
def test_cem_solves_the_tasks_of_the_environment_page(tmp_path):
    model = written_out("docs/your-model.md", "my_model.py").replace(" / 100", "")
    (tmp_path / "my_model.py").write_text(model)
    shown = written_out("docs/your-environment.md", "my_environment.py")
    (tmp_path / "my_environment.py").write_text(shown)
    make_tasks = python_of("docs/your-tasks.md").replace("40", "20")
    make_tasks = make_tasks.replace('"pusht"', '"my_environment:POINT"')
    subprocess.run([sys.executable, "-c", make_tasks], cwd=tmp_path, check=True)
    (command,) = re.findall(r"\ngrasp-bench (run .+)\n", read("docs/your-environment.md"))
    counted = ("--clock", "iterations", "--budget", 200, "--workers", 1, "--out", "out")
    call(*command.split(), *counted, folder=tmp_path)
    trials = grasp_bench.read_results(tmp_path / "out")
    assert list(trials["success"]) == [True] * 20
    assert set(trials["environment"]) == {"point"}


@pytest.mark.parametrize("page", ["README.md", "docs/python-api.md"])
def test_the_python_of_a_page_runs(page):
    names = {}
    exec(python_of(page), names)
    assert len(names["trials"]) == 2
    assert {"task_id", "success", "time_to_success"} <= set(names["trials"])
