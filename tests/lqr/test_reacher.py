"""iLQR on MuJoCo's own Reacher reaches the limit found independently on the true simulator."""

from pathlib import Path

import numpy as np
import pytest

from lqr import Action, WeightedNorm, ilqr

mujoco = pytest.importorskip("mujoco")
gymnasium = pytest.importorskip("gymnasium")
envs = pytest.importorskip("gymnasium.envs.mujoco")

CONDITIONS = (  # start angles, target, and the way round that costs less, of the two
    ((0.05, -0.05), (0.10, 0.11), 1),
    ((-0.05, 0.05), (-0.11, 0.10), 1),
    ((0.08, 0.02), (-0.09, -0.12), -1),
    ((0.0, 0.0), (0.12, -0.09), -1),
)
LIMIT = 2.145  # mean cost of the best of eight starts, by another implementation of iLQR


def reacher(angles, target):
    """Returns dynamics in x = [angles, rates, fingertip - target], and the start."""
    model = mujoco.MjModel.from_xml_path(str(Path(envs.__file__).parent / "assets" / "reacher.xml"))
    data, tip = mujoco.MjData(model), model.body("fingertip").id

    def observe():
        return np.concatenate([data.qpos[:2], data.qvel[:2], data.xpos[tip][:2] - target])

    def dynamics(x, u):
        data.qpos[:], data.qvel[:] = [*x[:2], *target], [*x[2:4], 0, 0]
        data.qacc_warmstart[:] = 0
        data.ctrl[:] = u
        mujoco.mj_step(model, data, 2)
        mujoco.mj_kinematics(model, data)
        return observe()

    data.qpos[:] = [*angles, *target]
    mujoco.mj_forward(model, data)
    return dynamics, observe()


def replayed(angles, target, U):
    """Returns the cost of the actions in Gymnasium's environment, by the formula and without our
    cost terms.
    """
    env = gymnasium.make("Reacher-v5").unwrapped
    env.reset(seed=0)
    env.set_state(np.array([*angles, *target]), np.zeros(4))
    total = 0.0
    for u in U:
        gap = (env.get_body_com("fingertip") - env.get_body_com("target"))[:2]
        total += np.sqrt(1e-5 + gap @ gap) + 0.1 * u @ u
        env.step(u)
    env.close()
    return total


def test_ilqr_reaches_the_true_dynamics_limit_of_reacher():
    ramp = np.r_[np.ones(50), 0.0]
    cost = WeightedNorm([0, 0, 0, 0, 1, 1], l1=1.0, l2=0.0, alpha=1e-5, ramp=ramp) + Action(0.2)
    totals = []
    for angles, target, way in CONDITIONS:
        dynamics, x0 = reacher(np.array(angles), np.array(target))
        U = 0.05 * way * np.ones((50, 2))
        best = ilqr(dynamics, cost, x0, U, low=-1, high=1, max_iterations=40, tolerance=1e-5)
        assert abs(best.U).max() <= 1.0
        assert np.linalg.norm(best.X[-1, 4:]) < 0.005
        totals.append(best.cost)
        assert replayed(angles, target, best.U) == pytest.approx(best.cost, rel=1e-4)
    assert 1.9 < np.mean(totals) <= LIMIT
