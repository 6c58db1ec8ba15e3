"""A results file of any size, to measure tables and reports with: the reference run, repeated.

    python scripts/make_large_results.py large.parquet --rows 1000000

Every copy of the reference run gets tasks of its own, so no trial is there twice; times
and costs are spread by a few per cent. The numbers mean nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from grasp_bench.columns import SCHEMA
from grasp_bench.results import read_results

COPIES_AT_ONCE = 60
SPREAD = ["time_to_success", "planner_time", "planner_seconds", "blind_cost_realised"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    reference = read_results(Path("results/reference"))
    generator = np.random.default_rng(0)
    with pq.ParquetWriter(options.path, SCHEMA, write_page_checksum=True) as writer:
        for first in range(0, -(-options.rows // len(reference)), COPIES_AT_ONCE):
            copies = range(first, first + COPIES_AT_ONCE)
            trials = pd.concat([copy_of(reference, copy, generator) for copy in copies])
            trials = trials[: options.rows - first * len(reference)]
            writer.write_table(pa.Table.from_pandas(trials, SCHEMA, preserve_index=False))


def copy_of(trials: pd.DataFrame, copy: int, generator: np.random.Generator) -> pd.DataFrame:
    suffix = f"-{copy:04d}"
    factor = generator.lognormal(sigma=0.05, size=len(trials))
    spread = {name: trials[name].astype(float) * factor for name in SPREAD}
    names = {name: trials[name] + suffix for name in ("task_id", "trial_key")}
    return trials.assign(**names, **spread)


if __name__ == "__main__":
    main()
