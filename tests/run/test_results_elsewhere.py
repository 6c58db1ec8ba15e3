"""Results files are plain parquet: read here without anything of this package."""

import subprocess
import sys
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "trials.parquet"

SCRIPT = """
import sys
import duckdb
import pandas as pd
import pyarrow.parquet as pq

path = sys.argv[1]
trials = pd.read_parquet(path)
by_pandas = trials[trials["status"] == "ok"].groupby(["planner", "horizon"])["success"].mean()
by_duckdb = duckdb.execute(
    "select planner, horizon, avg(success::int) as rate from read_parquet(?) "
    "where status = 'ok' group by planner, horizon order by planner, horizon", [path]
).df().set_index(["planner", "horizon"])["rate"]
assert len(by_pandas) >= 20
assert (by_pandas.sort_index() - by_duckdb).abs().max() < 1e-12

schema = pq.read_schema(path)
assert schema.metadata[b"grasp_bench_protocol_version"]
assert all(schema.field(name).metadata[b"description"] for name in schema.names)
assert schema.names == [
    row[0] for row in duckdb.execute("describe select * from read_parquet(?)", [path]).fetchall()
]
assert not any(name.partition(".")[0] in ("grasp_bench", "torch") for name in sys.modules)
"""


def test_pandas_and_duckdb_read_the_reference_run_and_agree():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(REFERENCE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
