"""Measures how often `grasp-bench compare` calls the same code worse under other seeds.

    python scripts/gate_false_alarms.py --reruns 20 --trials 16

Every sweep draws other random numbers and is compared with results/regression. Exits with 1 if
any is called a regression. `--seed 0` runs the stored sweep itself each time. `--set
grasp.sync=none` breaks a planner on purpose; every sweep should then be caught.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

BASE = Path("results/regression")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reruns", type=int, default=20)
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--seed", type=int, help="of every re-run; by default each has its own")
    parser.add_argument("--set", action="append", default=[], metavar="PLANNER.KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("results/gate"))
    options = parser.parse_args()
    sweep = [*regression_sweep(), "--trials", str(options.trials)]
    sweep += [part for change in options.set for part in ("--set", change)]
    alarms = 0
    for rerun in range(1, options.reruns + 1):
        seed = rerun if options.seed is None else options.seed
        out = options.out / str(rerun)
        run([*sweep, "--seed", str(seed), "--out", str(out)]).check_returncode()
        compared = run([sweep[0], "compare", str(BASE), str(out)])
        alarms += compared.returncode == 1
        verdict = (compared.stdout or compared.stderr).splitlines()[-1]
        print(f"{rerun}, seed {seed}: {verdict}", flush=True)
    print(f"{alarms} of {options.reruns} runs called worse")
    return 1 if alarms else 0


def regression_sweep() -> list[str]:
    """The sweep of `make regression`, without its run folder."""
    lines = run(["make", "--dry-run", "regression"]).stdout.replace("\\\n", " ").splitlines()
    (command,) = (line for line in lines if "grasp-bench sweep" in line)
    words = shlex.split(command)
    place = words.index("--out")
    return words[:place] + words[place + 2 :]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
