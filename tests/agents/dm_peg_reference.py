"""What dm_control itself says of its peg insertion: writes dm_peg_reference.json beside itself.

dm_control's environments do not run on every MuJoCo, so this is for an environment of its own:
pip install dm_control==1.0.50 mujoco==3.17.0; python tests/agents/dm_peg_reference.py
"""

import json
import os
from pathlib import Path

os.environ["MUJOCO_GL"] = "disabled"

import numpy as np
from dm_control import suite

env = suite.load("manipulator", "insert_peg", task_kwargs={"random": 3})
rng = np.random.RandomState(0)
found = []
for i in range(12):
    env.reset()
    physics, data = env.physics, env.physics.data
    place, turn = (getattr(physics.named.model, f"body_{what}")["slot"] for what in ("pos", "quat"))
    goal = [place[0], place[2], 2 * np.arctan2(turn[2], turn[0])]
    if i % 3 == 1:  # near its goal, where there is something to be paid
        data.qpos[8:] = goal + 0.02 * rng.uniform(-1, 1, 3)
    if i % 3 == 2:  # in the hand
        data.qpos[4:8] = 0.5, 0.2, 0.5, 0.2
        physics.after_reset()
        across = physics.named.data.site_xmat["grasp", ["xx", "zx"]]
        data.qpos[8:10] = physics.named.data.site_xpos["grasp", ["x", "z"]] + 0.003 * rng.uniform(
            -1, 1, 2
        )
        data.qpos[10] = np.pi - np.arctan2(across[1], across[0])
    data.qvel[:] = rng.uniform(-1, 1, 11)
    physics.after_reset()  # derived quantities, with controls of 0
    seen = np.concatenate([np.ravel(v) for v in env.task.get_observation(physics).values()])
    row = {"qpos": data.qpos.copy(), "qvel": data.qvel.copy(), "goal": goal, "observation": seen}
    row |= {"reward": env.task.get_reward(physics), "control": rng.uniform(-1, 1, 5)}
    for _ in range(2):  # 0.01 s each
        env.step(row["control"])
    row["after"] = np.concatenate([data.qpos, data.qvel])
    found.append({k: np.round(v, 12).tolist() for k, v in row.items()})
Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=0) + "\n")
print([round(row["reward"], 3) for row in found])
