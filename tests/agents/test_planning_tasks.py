"""The tasks of planning papers: Pendulum-v1 as equations against Gymnasium, PETS's cart-pole
against its definition.
"""

import gymnasium
import numpy as np
import pytest

from agents.tasks import make_task
from agents.tasks.classic.pendulum_v1 import SquaredAngle
from agents.tasks.costs.gaussian_bump import Bump


def test_pendulum_v1_steps_and_is_rewarded_as_gymnasiums():
    env = gymnasium.make("Pendulum-v1")
    task = make_task("pendulum_v1")
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=3)
    x = [task.start(np.array([env.unwrapped.state]))]
    np.testing.assert_allclose(x[0][0], observation, atol=1e-6)
    u, rewards = rng.uniform(-2, 2, size=(1, 200, 1)), []
    for t in range(200):
        observation, reward, *_ = env.step(u[0, t].astype(np.float64))
        x.append(task.step(u[:, t]))
        rewards.append(reward)
        np.testing.assert_allclose(x[-1][0], observation, atol=2e-5)
    cost = task.cost(np.stack(x, 1), u)[0]
    np.testing.assert_allclose(cost[:-1], -np.array(rewards), atol=1e-4)
    assert cost[-1] == 0.0
    assert task.metrics(np.stack(x, 1), u)["return"][0] == pytest.approx(sum(rewards), abs=1e-2)


def test_pets_cartpole_is_rewarded_by_the_place_of_the_poles_tip_after_the_step():
    task, rng = make_task("pets_cartpole"), np.random.default_rng(0)
    task.start(np.array([[0.3, 2.5]]), np.array([[0.1, -0.2]]))
    u = rng.uniform(-3, 3, size=(1, 200, 1))
    x, rewards = [task.states()], []
    for t in range(200):
        x.append(task.step(u[:, t]))
        data = task.data(0)
        pole = data.body("pole")
        tip = pole.xpos + pole.xmat.reshape(3, 3) @ [0.0, 0.0, -0.6]
        gap = np.hypot(tip[0] - 0.0, tip[2] - 0.6)
        rewards.append(np.exp(-(gap**2) / 0.6**2) - 0.01 * u[0, t, 0] ** 2)
    assert task.metrics(np.stack(x, 1), u)["return"][0] == pytest.approx(sum(rewards), rel=1e-6)
    assert task.dt == pytest.approx(0.04)
    assert task.horizon == 200
    assert task.action_high == 3.0


def test_pets_cartpole_upright_at_rest_earns_nearly_one_per_step():
    task = make_task("pets_cartpole")
    x = np.tile([0.0, -1.0, 0.0, 0.0, 0.0], (1, 201, 1))
    assert task.metrics(x, np.zeros((1, 200, 1)))["return"][0] == pytest.approx(200.0)


@pytest.mark.parametrize(
    "cost",
    [
        Bump(np.random.default_rng(1).normal(size=(2, 3)), [0.3, -0.2], 1.5, ramp="linear"),
        SquaredAngle(),
    ],
)
def test_expansions_agree_with_differences(cost):
    rng = np.random.default_rng(0)
    X, U = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 5, 2))
    C, c, const = cost.expand(X, U)
    z = np.concatenate([X, np.pad(U, ((0, 0), (0, 1), (0, 0)))], -1)

    def model(z):
        return 0.5 * np.einsum("...i,...ij,...j->...", z, C, z) + (c * z).sum(-1) + const

    np.testing.assert_allclose(model(z), cost(X, U), atol=1e-10)
    move = 1e-3 * rng.normal(size=X.shape)
    shifted = z + np.pad(move, ((0, 0), (0, 0), (0, 2)))
    np.testing.assert_allclose(model(shifted), cost(X + move, U), atol=1e-6)
    np.testing.assert_allclose(model(shifted) - model(z), cost(X + move, U) - cost(X, U), atol=1e-7)
