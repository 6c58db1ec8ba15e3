"""Environment steps per second on one core without rendering, ours and gym-pusht's.

    python scripts/bench_simulator.py

Both run the same demonstrations' actions in turns; the ratio is what compares between
machines.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from gym_pusht.envs.pusht import PushTEnv as ReferenceEnv

from grasp_bench.envs.pusht.demonstrator import demonstrate
from grasp_bench.envs.pusht.simulator import rollout

EPISODES, STEPS, ROUNDS = 10, 100, 7


def main() -> None:
    rng = np.random.default_rng(0)
    episodes = [demonstrate(rng, STEPS) for _ in range(EPISODES)]
    starts = np.stack([states[0] for states, _ in episodes])
    actions = np.stack([acts for _, acts in episodes])
    reference = ReferenceEnv(obs_type="state")

    def ours() -> None:
        rollout(starts, actions)

    def theirs() -> None:
        for start, plan in zip(starts, actions, strict=True):
            reference.reset(options={"reset_to_state": start[:5]})
            for action in plan:
                reference.step(np.array(reference.agent.position) + 100.0 * action)

    rates: dict[str, list[float]] = {"ours": [], "gym-pusht": []}
    for _ in range(ROUNDS):
        for name, run in (("ours", ours), ("gym-pusht", theirs)):
            begin = time.perf_counter()
            run()
            rates[name].append(EPISODES * STEPS / (time.perf_counter() - begin))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in medians.items():
        print(f"{name:>10}: {rate:8.0f} environment steps per second")
    print(f"     ratio: {medians['ours'] / medians['gym-pusht']:8.1f}")


if __name__ == "__main__":
    main()
