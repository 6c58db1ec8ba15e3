"""Registers Push-T with Gymnasium when it is imported.

`gymnasium.make("grasp_bench.envs.gym:grasp_bench/PushT-v0")` imports this module by itself.
Gymnasium before 1.0 finds it through the entry point `gymnasium.envs`.
"""

from gymnasium.envs.registration import register, registry

PUSHT_ID = "grasp_bench/PushT-v0"


def register_environments() -> None:
    """Adds Push-T to Gymnasium's registry, once."""
    if PUSHT_ID not in registry:
        entry_point = "grasp_bench.envs.pusht.gym_env:PushTEnv"
        register(id=PUSHT_ID, entry_point=entry_point, max_episode_steps=300)


register_environments()
