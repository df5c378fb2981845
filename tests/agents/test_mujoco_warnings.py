"""What MuJoCo warns of is counted, and leaves no file where the user stands."""

import numpy as np
import pytest

from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from agents.tasks.adapters.user_task import OwnTask
from agents.tasks.base import mujoco_warnings
from agents.tasks.base.mujoco_batch import MujocoBatch
from experiments.engine.episodes import episodes
from lqr import WeightedNorm

OUTDATED = """<mujoco><compiler settotalmass="3"/><worldbody><body><joint type="slide"/>
<geom size=".1"/></body></worldbody></mujoco>"""


class Sliding:
    """A user's own simulator."""

    def reset(self, condition, rng):
        import mujoco

        self.model = mujoco.MjModel.from_xml_string(OUTDATED)
        return np.zeros(1)

    def step(self, u):
        return np.zeros(1)


def own():
    OwnTask(Sliding, WeightedNorm([1.0]), action_low=[-1], action_high=[1], horizon=3)


MAKERS = {
    "an environment": lambda: GymnasiumTask("HalfCheetah-v5", horizon=3, conditions=1),
    "an environment to evaluate in": lambda: episodes(
        "HalfCheetah-v5", lambda env, o: env.action_space.sample(), 1
    ),
    "a model": lambda: MujocoBatch(OUTDATED, 1).model,
    "a user's own": own,
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_warning_is_counted_and_leaves_no_file(name, tmp_path, monkeypatch):
    import mujoco

    monkeypatch.chdir(tmp_path)
    mujoco.set_mju_user_warning(None)  # as MuJoCo begins
    mujoco_warnings.WARNED.clear()
    MAKERS[name]()
    assert not list(tmp_path.iterdir())
    (said,) = mujoco_warnings.WARNED
    assert "settotalmass" in said


def test_warnings_that_differ_in_time_alone_are_one_and_few_are_told_apart():
    import mujoco

    mujoco_warnings.heed()
    mujoco_warnings.WARNED.clear()
    batch = MujocoBatch(OUTDATED.replace(' settotalmass="3"', ""), 1)
    data = mujoco.MjData(batch.model)
    for t in range(3):
        mujoco.mj_resetData(batch.model, data)
        data.time, data.qvel[0] = t, np.nan
        mujoco.mj_step(batch.model, data)
    assert list(mujoco_warnings.WARNED.values()) == [3]
    for i in range(50):
        mujoco_warnings._count(f"a {i}")
    assert len(mujoco_warnings.WARNED) == mujoco_warnings.MOST + 1
