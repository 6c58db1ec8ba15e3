import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_readmes_planner_joins_through_its_entry_point_and_runs(tmp_path):
    (code,) = re.findall(r"```python\n# my_planner.py\n(.*?)```", README, re.S)
    (entry,) = re.findall(r"^(random-shooting) = \"(.*)\"$", README, re.M)
    (tmp_path / "my_planner.py").write_text(code)
    # What installing the package leaves behind.
    metadata = tmp_path / "my_planner-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-planner\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[grasp_bench.planners]\n{entry[0]} = {entry[1]}\n")

    def grasp_bench(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "grasp_bench", *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "random-shooting" in grasp_bench("planners")
    run = ("run", "--planner", "random-shooting", "--horizon", "10", "--trials", "2")
    limits = ("--clock", "iterations", "--budget", "3", "--out", str(tmp_path / "out"))
    output = grasp_bench(*run, *limits)
    assert "pusht-h10-0001" in output
    assert "random-shooting" in output
