"""The environments of Benchmarking Model-Based RL: physics as in Gymnasium, random rows as published."""

import gymnasium
import numpy as np
import pytest

from agents.rollout import run
from agents.tasks import make_task

RANDOM = {  # return of uniformly random actions: mean and standard deviation of the published table
    "mbbl_pendulum": (-202.6, 249.3),
    "mbbl_cartpole": (38.4, 32.5),
    "mbbl_mountain_car": (-105.1, 1.8),
    "mbbl_acrobot": (-374.5, 17.1),
    "mbbl_inverted_pendulum": (-205.1, 13.6),
    "mbbl_swimmer": (1.2, 11.2),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_actions_get_the_published_return(name):
    task, rng, N = make_task(name), np.random.default_rng(0), 25 if name == "mbbl_swimmer" else 300
    trials = run(task, lambda x, o, t: rng.uniform(-1, 1, size=(N, task.du)), np.zeros(N, int), rng)
    got = task.metrics(trials.x, trials.u)["return"]
    mean, std = RANDOM[name]
    assert got.mean() == pytest.approx(mean, abs=4 * std / np.sqrt(N) + 0.005 * abs(mean))  # MuJoCo has changed a bit
    assert got.std() == pytest.approx(std, rel=0.4)
    assert (trials.length == task.horizon).all()
    assert not trials.failed.any()


def test_the_pendulum_moves_as_gymnasiums_and_is_charged_with_the_opposite_height():
    task, rng = make_task("mbbl_pendulum"), np.random.default_rng(0)
    with gymnasium.make("Pendulum-v1") as env:
        env.reset(seed=0)
        x, u, rewards = [task.start(env.unwrapped.state[None])], rng.uniform(-1, 1, size=(1, 201, 1)), []
        for t in range(201):
            angle, speed = env.unwrapped.state
            rewards.append(-np.cos(angle) - 0.1 * abs(np.sin(angle)) - 0.1 * speed**2 - 0.001 * (2 * u[0, t, 0]) ** 2)
            seen, *_ = env.unwrapped.step(2 * u[0, t])
            x.append(task.step(u[:, t]))
            np.testing.assert_allclose(x[-1][0], seen, atol=1e-5)
    assert task.metrics(np.stack(x, 1), u)["return"] == pytest.approx(sum(rewards), abs=0.05)  # |sin| is smoothed


def test_the_cart_pole_moves_as_gymnasiums():
    task, rng = make_task("mbbl_cartpole"), np.random.default_rng(0)
    with gymnasium.make("CartPole-v1") as env:
        first, _ = env.reset(seed=0)
        task.start(np.array(env.unwrapped.state, dtype=float)[None])
        np.testing.assert_allclose(task.observe()[0], first, atol=1e-6)
        for _ in range(10):
            u = rng.uniform(-1, 1)
            seen, *_ = env.step(int(u > 0))
            task.step(np.array([[u]]))
            np.testing.assert_allclose(task.observe()[0], seen, atol=1e-5)


def test_the_swimmers_third_number_is_the_speed_of_its_head_along_x():
    task = make_task("mbbl_swimmer")
    task.reset(np.zeros(2, int), np.random.default_rng(0))
    x = task.step(np.ones((2, 2)))
    np.testing.assert_array_equal(x[:, 3], task._sim.field("qvel")[:, 0])


def test_returns_are_those_of_the_states_before_each_step():
    rng = np.random.default_rng(0)
    for name, reward in {
        "mbbl_cartpole": lambda x: np.cos(x[..., 2]) - 0.01 * x[..., 0] ** 2,
        "mbbl_mountain_car": lambda x: x[..., 0],
        "mbbl_acrobot": lambda x: -x[..., 0] - (x[..., 0] * x[..., 2] - x[..., 1] * x[..., 3]),
        "mbbl_inverted_pendulum": lambda x: -(x[..., 1] ** 2),
        "mbbl_swimmer": lambda x: x[..., 3],
    }.items():
        task = make_task(name)
        u = rng.uniform(-1, 1, size=(3, task.horizon, task.du))
        trials = run(task, lambda x, o, t, u=u: u[:, t], np.zeros(3, int), rng)
        expected = reward(trials.x[:, :-1]).sum(1) - (1e-4 * (u**2).sum((1, 2)) if name == "mbbl_swimmer" else 0.0)
        np.testing.assert_allclose(task.metrics(trials.x, trials.u)["return"], expected, atol=1e-9)
