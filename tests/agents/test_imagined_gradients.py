"""Targets that look ahead, against returns by hand; gradients along imagined paths, against
differences; and what each method is where its horizon is 0.
"""

import numpy as np
import pytest
import torch

from agents.baselines import sac
from agents.imagination import bptt, dhmbpo, mbpo, mve, svg
from agents.imagination.steps.environment_model import EnvironmentModel
from agents.imagination.steps.expansion import expanded, path, targets, weighted
from agents.imagination.steps.pathwise import Pathwise
from agents.learners.off_policy import OffPolicy
from agents.learners.sac import SAC
from agents.tasks import make_task

SMALL = {
    "iterations": 2, "iteration_steps": 40, "warm_up": 60, "batch": 20, "hidden": (8, 8),
    "model_hidden": (8,), "fit_steps": 20, "fit_every": 30, "members": 2,
}  # fmt: skip


def started(name, steps=120, **more):
    """Returns a run that tried random actions, its learner in double precision, and a env_model that
    was fitted.
    """
    task = make_task(name)
    config = mve.Config(
        **{**SMALL, "iterations": 1, "iteration_steps": steps, "warm_up": steps, **more}
    )
    run = OffPolicy(task, config, np.random.default_rng(0), None)
    run.collect()
    learner = SAC(
        task.action_low, task.action_high, run.learner.units, run.rng, (8, 8), dtype=np.float64
    )
    for networks in (learner.actor, learner.critic, learner.target):
        networks.flat += 0.1 * run.rng.standard_normal(networks.flat.shape)
    run.learner = learner
    env_model = EnvironmentModel(task, config)
    env_model.fit(run.buffer, run.rng)
    return run, env_model


@pytest.mark.parametrize("name", ["pendulum_v1", "inverted_pendulum"])
def test_targets_in_the_true_model_are_the_returns_that_it_pays(name):
    """A policy that is nearly deterministic, without entropy: y_k is the sum of simulated rewards
    and the value after them; nothing comes after an end.
    """
    run, env_model = started(name, model="simulator")
    learner, H = run.learner, 4
    learner.log_alpha[0] = -100.0
    learner.actor.parts[-1][..., run.task.du :] = -30.0
    learner.actor.parts[-2][..., run.task.du :] = 0.0
    rows = run.buffer.sample(60, run.rng)
    _, _, _, y = expanded(learner, env_model, rows, H, True, np.random.default_rng(1))
    y = y[:60]
    n, policy, gamma = learner.units, learner.policy, 0.99
    for i in range(60):
        x, end = rows.xnext[i : i + 1], bool(rows.end[i])
        expected, weight = rows.reward[i] - n.r_mean, gamma
        for _ in range(H):
            if end:
                break
            u = policy.mean(env_model.observation_of(x))
            after = env_model.true.step(x, u)
            end = bool(env_model.ends(after)[0])
            expected += weight * (
                env_model.cost.rewards(x, u, after, np.array([end]))[0] - n.r_mean
            )
            x, weight = after, weight * gamma
        seen = (env_model.observation_of(x) - n.o_mean) / n.o_std
        action = (policy.mean(env_model.observation_of(x)) - policy.middle) / policy.half
        value = learner.end_value if end else learner.value(learner.target, seen, action).min()
        assert y[i] == pytest.approx(expected / n.r_std + weight * value, rel=1e-5, abs=1e-5)


def test_steves_weights_leave_one_horizon_as_it_is_and_lie_between_all():
    """With critics that are 0 everywhere a horizon's target is its discounted rewards: STEVE's lies
    between the least and the largest, but for what noise the members draw.
    """
    run, env_model = started("pendulum_v1")
    rows = run.buffer.sample(40, run.rng)
    for networks in (run.learner.critic, run.learner.target):
        networks.flat[:] = 0.0
    run.learner.log_alpha[0] = -100.0
    zero = run.learner.batch(*rows_of(rows)).reward
    _, y = weighted(run.learner, env_model, rows, 2, np.random.default_rng(1))
    lone = []
    for e in range(2):
        made = path(
            run.learner,
            env_model,
            rows.xnext,
            ~rows.end,
            2,
            np.random.default_rng(2),
            np.full(40, e),
        )
        lone.append(zero + 0.99 * made.reward[0] + 0.99**2 * made.reward[1])
        np.testing.assert_allclose(
            targets(run.learner, made, run.rng)[0], made.reward[0] + 0.99 * made.reward[1]
        )
    least, most = (np.minimum(*lone), np.maximum(*lone))
    inside = (y > np.minimum(zero, least) - 0.3) & (y < np.maximum(zero, most) + 0.3)
    assert inside.mean() > 0.9


def rows_of(rows):
    return rows.o, rows.u, rows.reward, rows.onext, rows.end


def test_without_a_horizon_value_expansion_is_the_same_learner():
    task, own = make_task("pendulum_v1"), {k: SMALL[k] for k in ("iterations", "batch", "hidden")}
    own |= {"warm_up": 300, "update_ratio": 0.2}
    ours = mve.train(task, mve.Config(**own, value_expansion=0), np.random.default_rng(0))
    alike = sac.train(task, sac.Config(**own), np.random.default_rng(0))
    for a, b in zip(ours, alike, strict=True):
        assert {k: a.scalars[k] for k in b.scalars} == b.scalars
    assert a.scalars["updates"] > 0


@pytest.mark.parametrize(
    ("name", "more"),
    [("pendulum_v1", {}), ("pendulum_v1", {"reward": "learned"}), ("reacher_v5", {}),
     ("pendulum_v1", {"model": "simulator"})],
)  # fmt: skip
@pytest.mark.parametrize("value", [True, False])
def test_the_gradient_along_a_path_is_that_of_differences(name, more, value):
    """Two steps, common noise, double precision, along a random direction of the parameters."""
    run, env_model = started(name, **more)
    made, x0 = Pathwise(run.learner, env_model), run.buffer.data.x[5:25]

    def objective(flat):
        return made.objective(flat, x0, 2, value, np.random.default_rng(3))[0]

    flat = torch.tensor(run.learner.actor.flat, requires_grad=True)
    (slope,) = torch.autograd.grad(objective(flat), flat)
    d, h = np.random.default_rng(4).standard_normal(len(flat)), 1e-5
    ends = [float(objective(torch.tensor(run.learner.actor.flat + s * h * d))) for s in (1, -1)]
    difference = (ends[0] - ends[1]) / (2 * h)
    assert float(slope.numpy() @ d) == pytest.approx(difference, rel=2e-3, abs=1e-6)


def test_without_steps_the_gradient_is_that_of_soft_actor_critic():
    run, env_model = started("pendulum_v1")
    learner, rows = run.learner, run.buffer.sample(20, run.rng)
    o = learner.batch(*rows_of(rows)).o
    e = np.random.default_rng(3).standard_normal((20, 1))
    a, _, known = learner.act(o, e)
    learner.actor_slope(known, -learner.action_value(o, a)[1] / 20, np.full(20, learner.alpha / 20))
    flat = torch.tensor(learner.actor.flat, requires_grad=True)
    objective, _ = Pathwise(learner, env_model).objective(
        flat, rows.x, 0, True, np.random.default_rng(3)
    )
    (slope,) = torch.autograd.grad(-objective, flat)
    np.testing.assert_allclose(slope.numpy(), learner.actor.slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("method", "more"),
    [(mve, {"weights": "steve"}), (mve, {}), (svg, {}), (bptt, {"path_length": 3, "paths": 4}),
     (dhmbpo, {"rollouts": 10, "rollout_length": (3,)}), (mbpo, {"rollouts": 10})],
)  # fmt: skip
def test_a_run_goes_on_to_the_same_bits(method, more):
    task, config = make_task("reacher_v5"), method.Config(**SMALL, **more, update_ratio=0.2)
    rng, rows, at = np.random.default_rng(0), [], []
    for row in method.train(task, config, rng):
        rows.append(row)
        at.append(rng.bit_generator.state)
    again = np.random.default_rng()
    again.bit_generator.state = at[0]
    (last,) = method.train(task, config, again, rows[0].state)
    assert last.scalars == rows[1].scalars
    assert last.scalars["updates"] > 0
