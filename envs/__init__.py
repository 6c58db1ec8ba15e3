"""Push-T: simulator, pictures, demonstrator and Gymnasium environment.

Importing the package registers `grasp_bench/PushT-v0`.
"""

from gymnasium.envs.registration import register, registry

PUSHT_ID = "grasp_bench/PushT-v0"

if PUSHT_ID not in registry:
    register(id=PUSHT_ID, entry_point="envs.gym_env:PushTEnv", max_episode_steps=300)
