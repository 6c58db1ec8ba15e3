"""A million trials: what a table of them takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ROWS, CPU_SECONDS, BYTES = 1_000_000, 10, 2e9

MEASURED = """
import resource, sys
from grasp_bench.cli import main
try: main(["table", sys.argv[1], "--format", "json"])
except SystemExit as stop: assert not stop.code, stop.code
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, file=sys.stderr)
"""


@pytest.mark.slow
def test_a_table_of_a_million_trials_takes_ten_seconds_and_two_gigabytes(tmp_path):
    path = tmp_path / "large.parquet"
    make = [sys.executable, "scripts/make_large_results.py", str(path), "--rows", str(ROWS)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    subprocess.run(make, cwd=REPOSITORY, env=environment, check=True)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Processor seconds, as a busy machine is no fault of the table's.
    seconds, memory = map(float, done.stderr.split())
    assert seconds < CPU_SECONDS
    assert memory < BYTES
    assert '"cem' in done.stdout
