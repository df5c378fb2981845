"""Normalised advantages against torch, and imagined rows against the linear world that they are
fitted to.
"""

import numpy as np
import torch

from agents.imagination import mba
from agents.imagination.steps.local_data import LocalData
from agents.learners.naf import NAF
from agents.learners.sac import Units
from agents.tasks import make_task
from dynamics.replay_buffer import Transitions


def learner(do=3, du=2):
    units = Units(np.zeros(do), np.ones(do), np.array(0.3), np.array(2.0))
    rng = np.random.default_rng(0)
    made = NAF(-np.ones(du), 2 * np.ones(du), units, rng, (8, 6), dtype=np.float64)
    made.networks.flat += 0.2 * rng.standard_normal(made.networks.flat.shape)
    made.measure(units)  # the policy of these parameters
    return made


def test_the_gradient_is_that_of_autograd():
    made, rng, B = learner(), np.random.default_rng(1), 7
    o, a, y = rng.normal(size=(B, 3)), rng.uniform(-1, 1, (B, 2)), rng.normal(size=B)
    q, known = made.action_value(o, a)
    made.backward(known, (q - y) / B)
    flat = torch.tensor(made.networks.flat, requires_grad=True)
    parts = [p.reshape(s) for p, s in zip(
        torch.split(flat, [int(np.prod(s)) for s in made.networks.shapes]),
        made.networks.shapes, strict=True)]  # fmt: skip
    h = torch.tensor(o)
    for i in range(3):
        h = h @ parts[2 * i][0] + parts[2 * i + 1][0]
        h = torch.relu(h) if i < 2 else h
    L = torch.zeros(B, 2, 2, dtype=h.dtype)
    L[:, 0, 0], L[:, 1, 0], L[:, 1, 1] = h[:, 3].exp(), h[:, 4], h[:, 5].exp()
    d = torch.tensor(a) - torch.tanh(h[:, 1:3])
    expected = h[:, 0] - 0.5 * torch.einsum("bi,bij,bj->b", d, L @ L.transpose(1, 2), d)
    (0.5 * (expected - torch.tensor(y)) ** 2).mean().backward()
    np.testing.assert_allclose(q, expected.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(made.networks.slope, flat.grad.numpy(), rtol=1e-6, atol=1e-12)


def test_no_action_is_worth_more_than_the_policys():
    made, rng = learner(), np.random.default_rng(1)
    o = rng.normal(size=(5, 3))
    best = (made.policy.mean(o) - made.policy.middle) / made.policy.half
    for _ in range(50):
        other = rng.uniform(-1, 1, (5, 2))
        assert (made.action_value(o, other)[0] < made.action_value(o, best)[0]).all()


def test_imagined_steps_are_those_of_a_linear_world_and_its_reward():
    """x' = A_c x + B u + f_c, r = w x, two conditions, no noise: what the models then know exactly."""
    task, rng = make_task("point_mass", conditions=2), np.random.default_rng(0)
    config = mba.Config(rollouts=60, rollout_length=3, history=12)
    local, T = LocalData(task, config), task.horizon
    A = [0.9 * np.eye(4) + 0.05 * rng.normal(size=(4, 4)) for _ in range(2)]
    B, f, w = rng.normal(size=(4, 2)), rng.normal(size=(2, 4)), rng.normal(size=4)
    found, condition = [], np.arange(24) % 2
    for c in condition:
        x, u = [rng.normal(size=4)], rng.normal(size=(T, 2))
        for t in range(T):
            x.append(A[c] @ x[-1] + B @ u[t] + f[c])
        x = np.array(x)
        found.append(Transitions(x[:-1], u, x[1:], reward=x[:-1] @ w, end=np.zeros(T, bool)))

    class Random:
        def sample(self, o, t, rng):
            return rng.normal(size=(len(o), 2))

    local.observation_of = lambda x: x
    local.imagine(found, condition, Random(), rng)
    rows = local.buffer.data
    gaps = [np.abs(rows.xnext - rows.x @ A[c].T - rows.u @ B.T - f[c]).max(1) for c in range(2)]
    scale = np.abs(rows.xnext).max()
    assert np.median(np.minimum(*gaps)) < 0.005 * scale
    assert np.median(np.maximum(*gaps)) > 0.05 * scale  # each by the models of its own condition
    assert np.median(np.abs(rows.reward - rows.x @ w)) < 0.05 * np.abs(rows.reward).max()
    assert 120 < len(rows.x) <= 180


def test_a_run_goes_on_to_the_same_bits():
    task, rng = make_task("reacher_four"), np.random.default_rng(0)
    config = mba.Config(iterations=3, iteration_steps=220, warm_up=230, update_ratio=0.1, batch=16,
                        hidden=(8,), rollouts=20, rollout_length=2, capacity=500)  # fmt: skip
    rows, at = [], []
    for row in mba.train(task, config, rng):
        rows.append(row)
        at.append(rng.bit_generator.state)
    again = np.random.default_rng()
    again.bit_generator.state = at[1]
    (last,) = mba.train(task, config, again, rows[1].state)
    assert last.scalars == rows[2].scalars
    assert last.scalars["updates"] > 0
    assert last.scalars["imagined"] > 0
