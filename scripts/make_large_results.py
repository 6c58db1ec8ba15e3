"""Makes a results file of any size from copies of the reference run.

    python scripts/make_large_results.py large.parquet --rows 1000000

It serves to measure tables and reports with. Every copy gets tasks of its own, so that no trial
is there twice. Times and costs are spread by a few per cent. The numbers mean nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from grasp_bench.run.schema import results_schema
from grasp_bench.run.store import read_results

COPIES_AT_ONCE = 60
SPREAD = ["time_to_success", "planner_time", "planner_seconds", "final_plan_cost_realised"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    reference = read_results(Path("results/reference"))
    generator = np.random.default_rng(0)
    schema = results_schema(reference.columns)
    with pq.ParquetWriter(options.path, schema, write_page_checksum=True) as writer:
        for first in range(0, -(-options.rows // len(reference)), COPIES_AT_ONCE):
            copies = range(first, first + COPIES_AT_ONCE)
            trials = pd.concat([copy_of(reference, copy, generator) for copy in copies])
            trials = trials[: options.rows - first * len(reference)]
            writer.write_table(pa.Table.from_pandas(trials, schema, preserve_index=False))


def copy_of(trials: pd.DataFrame, copy: int, generator: np.random.Generator) -> pd.DataFrame:
    suffix = f"-{copy:04d}"
    factor = generator.lognormal(sigma=0.05, size=len(trials))
    spread = {name: trials[name].astype(float) * factor for name in SPREAD}
    names = {name: trials[name] + suffix for name in ("task_id", "trial_key")}
    return trials.assign(**names, **spread)


if __name__ == "__main__":
    main()
