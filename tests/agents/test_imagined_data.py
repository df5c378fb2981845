"""Imagined data are what the simulator does where it is the model, what closed-loop algebra says in
a linear env_model, and go only as far as the model is trusted.
"""

import numpy as np
import pytest
import torch

from agents.imagination import mbpo
from agents.imagination.steps.environment_model import EnvironmentModel
from agents.imagination.steps.imagined_data import ImaginedData
from agents.learners.learned_end import LearnedEnd
from agents.learners.off_policy import OffPolicy
from agents.tasks import make_task
from agents.tasks.costs.step_cost import StepCost
from dynamics import ReplayBuffer
from dynamics.storage.tree import load_tree, save_tree
from lqr import InputError


def tried(task, steps=200, seed=0):
    """Returns a replay buffer of random actions in a task."""
    config = mbpo.Config(iterations=1, iteration_steps=steps, warm_up=steps, real_share=1.0)
    run = OffPolicy(task, config, np.random.default_rng(seed), None)
    run.collect()
    return run


@pytest.mark.parametrize("name", ["pendulum_v1", "inverted_pendulum"])
def test_with_the_simulator_imagined_steps_are_those_of_the_world(name):
    """From states that were met, under the actions taken there: next state, reward and end."""
    task = make_task(name)
    run = tried(task)
    data = run.buffer.data
    env_model = EnvironmentModel(task, mbpo.Config(model="simulator"))
    env_model.fit(run.buffer, run.rng)

    class Same:
        def sample(self, o, t, rng):
            return data.u

    rows = env_model.rows(env_model.rollouts(Same(), data.x, 1, run.rng))
    np.testing.assert_allclose(rows.xnext, data.xnext, atol=1e-9)
    np.testing.assert_array_equal(rows.end, data.end)
    first = np.cumsum(run.buffer.lengths) - run.buffer.lengths
    later = np.setdiff1d(np.arange(len(data.x)), first)  # a start may have a price of its own
    np.testing.assert_allclose(rows.reward[later], data.reward[later], atol=1e-6)
    assert data.end.any() == (name == "inverted_pendulum")


def test_rows_stop_at_an_end_and_nothing_comes_after_it():
    task = make_task("inverted_pendulum")
    run = tried(task)
    env_model = EnvironmentModel(task, mbpo.Config(model="simulator"))
    found = env_model.rollouts(run.learner.policy, run.buffer.data.x, 30, run.rng)
    rows = env_model.rows(found)
    assert not task.ended(rows.x).any()
    assert (
        rows.end.sum()
        == (found.length < 30).sum() + task.ended(found.x[:, 30][found.length == 30]).sum()
    )
    np.testing.assert_allclose(
        rows.reward, StepCost(task).rewards(rows.x, rows.u, rows.xnext, rows.end)
    )


def exact(model, A, B, std):
    """Makes an ensemble say x' ~ N(A x + B u, std^2), whatever it was fitted to."""
    n, dx, last = model.normaliser, len(A), len(model.hidden)
    for name, value in model.params.items():
        model.params[name] = torch.zeros_like(value)
    rate = np.concatenate([A - np.eye(dx), B], 1)  # of the change, by x and u
    inputs = np.where(n.inverse_std > 0, 1 / n.inverse_std, 0.0)
    model.params["A"] += torch.as_tensor((rate * inputs / n.change_std[:, None]).T)
    offset = (rate @ n.mean - n.change_mean) / n.change_std
    model.params[f"b{last}"] += torch.as_tensor(np.r_[offset, 2 * np.log(std / n.change_std)])
    model.params["high"] += 50.0
    model.params["low"] -= 50.0


def test_imagined_moments_in_a_linear_task_are_those_of_the_forward_pass():
    """x' = A x + B u + noise, 4 steps under u = K x, mean and covariance by recursion."""
    rng, std = np.random.default_rng(0), 0.05
    A, B = 0.95 * (np.eye(4) + 0.1 * np.eye(4, k=2)), 0.3 * np.eye(4)[:, 2:]
    K, start = 0.2 * rng.normal(size=(2, 4)), np.array([0.5, -0.3, 0.2, 0.1])
    env_model = EnvironmentModel(
        make_task("point_mass"), mbpo.Config(model_hidden=(4,), fit_steps=1)
    )
    x, u = rng.normal(1.0, 2.0, (60, 4)), rng.normal(size=(60, 2))
    env_model.model.fit(x, u, x + rng.normal(size=x.shape), rng)
    exact(env_model.model, A, B, std)

    class Linear:
        def sample(self, o, t, rng):
            return o @ K.T

    env_model.observation_of = lambda x: x
    found = env_model.rollouts(Linear(), np.tile(start, (20_000, 1)), 4, rng)
    mean, cov, F = start, np.zeros((4, 4)), A + B @ K
    for t in range(1, 5):
        mean, cov = F @ mean, F @ cov @ F.T + std**2 * np.eye(4)
        np.testing.assert_allclose(found.x[:, t].mean(0), mean, atol=2e-3)
        np.testing.assert_allclose(np.cov(found.x[:, t].T), cov, atol=0.05 * cov.max())


def test_a_reward_that_is_learned_is_the_tasks_and_rare_ones_are_kept():
    task = make_task("pendulum_v1")
    run = tried(task, 400)
    data = run.buffer.data
    env_model = EnvironmentModel(
        task, mbpo.Config(reward="learned", model_hidden=(32,), fit_steps=400)
    )
    env_model.fit(run.buffer, run.rng)
    rows = env_model.rows(env_model.rollouts(run.learner.policy, data.x, 2, run.rng))
    true = StepCost(task).rewards(rows.x, rows.u, rows.xnext, rows.end)
    assert np.abs(rows.reward - true).mean() < 0.1 * true.std()
    buffer, rare = ReplayBuffer(), np.arange(len(data.x)) % 100 == 0
    buffer.add(*data[:5], np.where(rare, 100.0, 0.0), data.end, first=np.ones(len(rare), bool))
    env_model.fit(buffer, run.rng)
    assert not env_model.model.rejected[rare].any()


def test_ends_are_learned_from_few_of_them():
    rng, task = np.random.default_rng(0), make_task("inverted_pendulum")
    run = tried(task, 500)
    data, ends = run.buffer.data, LearnedEnd(4)
    assert not ends.ended(data.xnext).any()  # before any was seen
    ends.fit(data.xnext, data.end, rng)
    new = tried(task, 500, seed=1).buffer.data
    said = ends.ended(new.xnext)
    assert said[new.end].mean() > 0.85
    assert said[~new.end].mean() < 0.02
    again = LearnedEnd(4)
    again.load_state(ends.state())
    np.testing.assert_array_equal(again.probability(new.xnext), ends.probability(new.xnext))


def test_schedules_trust_and_masks():
    task = make_task("point_mass")
    data = ImaginedData(task, mbpo.Config(rollout_length=(1, 15, 1000, 2000)))
    assert [data.length(n) for n in (0, 1000, 1500, 2000, 9000)] == [1, 1, 8, 15, 15]
    with pytest.raises(InputError, match="rollout_length"):
        ImaginedData(task, mbpo.Config(rollout_length=(1, 15)))
    d = np.arange(100.0)
    data = ImaginedData(task, mbpo.Config(trust=0.5))
    assert data.until()(d).sum() == np.sum(d <= 0.5 * np.percentile(d, 95))
    assert data.level == pytest.approx(np.percentile(d, 95))
    data.until()(2 * d)  # the level follows slowly
    assert data.level == pytest.approx(1.1 * np.percentile(d, 95))
    assert ImaginedData(task, mbpo.Config(mask=0.25)).until()(d).sum() == 75
    assert ImaginedData(task, mbpo.Config()).until() is None


SMALL = {
    "iterations": 3, "iteration_steps": 30, "warm_up": 30, "update_ratio": 0.5, "batch": 16,
    "hidden": (8,), "model_hidden": (8,), "fit_steps": 20, "fit_every": 20, "rollouts": 40,
    "rollout_length": (1, 3, 30, 60), "members": 2, "bonus": 0.1, "trust": 2.0, "ends": "learned",
}  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"offline": 5, "reward": "learned"}])
def test_a_run_goes_on_to_the_same_bits_with_what_it_imagined(more, tmp_path):
    task, rng, config = (
        make_task("inverted_pendulum"),
        np.random.default_rng(0),
        mbpo.Config(**SMALL, **more),
    )
    rows, at = [], []
    for row in mbpo.train(task, config, rng):
        rows.append(row)
        at.append(rng.bit_generator.state)
        save_tree(tmp_path / str(row.number), row.state)
    assert rows[-1].scalars["updates"] > 0
    for row, draws in zip(rows[:-1], at, strict=False):
        again = np.random.default_rng()
        again.bit_generator.state = draws
        state, _ = load_tree(tmp_path / str(row.number))
        np.testing.assert_equal(
            [r.scalars for r in mbpo.train(task, config, again, state)],
            [r.scalars for r in rows[row.number :]],
        )


def test_without_the_models_share_it_is_the_same_learner():
    """`real_share` 1 is soft actor-critic, bit for bit."""
    from agents.baselines import sac

    task = make_task("pendulum_v1")
    alike = {k: SMALL[k] for k in ("iterations", "warm_up", "update_ratio", "batch", "hidden")}
    ours = mbpo.train(task, mbpo.Config(**alike, real_share=1.0), np.random.default_rng(0))
    own = sac.train(task, sac.Config(**alike), np.random.default_rng(0))
    for a, b in zip(ours, own, strict=True):
        assert {k: a.scalars[k] for k in b.scalars} == b.scalars
