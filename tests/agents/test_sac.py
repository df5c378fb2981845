"""Soft actor-critic: gradients against torch, densities against quadrature, its solution against
Riccati's, and runs that go on to the same bits.
"""

import numpy as np
import pytest
import torch

from agents import load_policy, save_policy
from agents.baselines import sac
from agents.learners.relu_networks import ReluNetworks
from agents.learners.sac import SAC, Batch, Units
from agents.learners.stepwise import Stepwise, explored
from agents.tasks import make_task
from dynamics import ReplayBuffer
from dynamics.storage.tree import load_tree, save_tree
from lqr import CheckpointError, InputError

DO, DU, B = 3, 2, 7


def learner(layer_norm=False, seed=0, **more):
    units = Units(np.zeros(DO), np.ones(DO), np.array(0.3), np.array(2.0))
    given = {"hidden": (8, 6), "layer_norm": layer_norm, "dtype": np.float64}
    rng = np.random.default_rng(seed)
    made = SAC(-np.ones(DU), 2 * np.ones(DU), units, rng, **{**given, **more})
    for networks in (made.actor, made.critic, made.target):  # gains and offsets, too
        networks.flat += 0.1 * rng.standard_normal(networks.flat.shape)
    return made


def batch(rng):
    end = np.zeros(B)
    end[2] = 1.0
    return Batch(rng.normal(size=(B, DO)), np.tanh(rng.normal(size=(B, DU))), rng.normal(size=B),
                 rng.normal(size=(B, DO)), end)  # fmt: skip


def in_torch(networks, flat):
    """Returns the K functions of torch that a flat tensor of parameters stands for."""
    parts = [p.reshape(s) for p, s in zip(
        torch.split(flat, [int(np.prod(s)) for s in networks.shapes]), networks.shapes, strict=True
    )]  # fmt: skip
    L = networks.last

    def call(k, x):
        for i in range(L + 1):
            x = x @ parts[2 * i][k] + parts[2 * i + 1][k]
            if i < L and networks.layer_norm:
                gain, offset = parts[2 * L + 2 + 2 * i : 2 * L + 4 + 2 * i]
                x = torch.nn.functional.layer_norm(x, x.shape[-1:], gain[k, 0], offset[k, 0], 1e-5)
            x = torch.relu(x) if i < L else x
        return x

    return call


@pytest.mark.parametrize("layer_norm", [False, True])
def test_the_critics_gradient_is_that_of_autograd(layer_norm):
    made, rng = learner(layer_norm), np.random.default_rng(1)
    b, y = batch(rng), rng.normal(size=B)
    made.critic.backward(((made.value(made.critic, b.o, b.a) - y) / B)[..., None])
    flat = torch.tensor(made.critic.flat, requires_grad=True)
    call, xu = in_torch(made.critic, flat), torch.tensor(np.concatenate([b.o, b.a], 1))
    loss = sum(0.5 * ((call(k, xu)[:, 0] - torch.tensor(y)) ** 2).mean() for k in range(2))
    loss.backward()
    np.testing.assert_allclose(made.critic.slope, flat.grad.numpy(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_the_actors_gradient_is_that_of_autograd(layer_norm):
    made, rng = learner(layer_norm), np.random.default_rng(1)
    o, e, alpha = rng.normal(size=(B, DO)), rng.normal(size=(B, DU)), made.alpha
    a, logp, known = made.act(o, e)
    _, slope = made.action_value(o, a)
    made.actor_slope(known, -slope / B, np.full(B, alpha / B))
    flat = torch.tensor(made.actor.flat, requires_grad=True)
    out = in_torch(made.actor, flat)(0, torch.tensor(o))
    normal = torch.distributions.Normal(out[:, :DU], out[:, DU:].clamp(-20, 2).exp())
    tanh = torch.distributions.transforms.TanhTransform(cache_size=1)
    squashed = torch.distributions.TransformedDistribution(normal, [tanh])
    action = torch.tanh(normal.loc + normal.scale * torch.tensor(e))
    action_of = tanh(normal.loc + normal.scale * torch.tensor(e))
    log = squashed.log_prob(action_of).sum(1)
    call = in_torch(made.critic, torch.tensor(made.critic.flat))
    xu = torch.cat([torch.tensor(o), action], 1)
    least = torch.minimum(call(0, xu), call(1, xu))[:, 0]
    (alpha * log - least).mean().backward()
    np.testing.assert_allclose(logp, log.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(made.actor.slope, flat.grad.numpy(), rtol=1e-6, atol=1e-12)


def test_a_step_of_adam_is_that_of_its_paper():
    rng = np.random.default_rng(0)
    networks = ReluNetworks((2, 4, 1), 2, rng)
    p, m, v = networks.flat.astype(float), 0.0, 0.0
    for t in range(1, 5):
        g = rng.normal(size=p.shape)
        networks.slope[:] = g
        networks.step(1e-2)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p -= 1e-2 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(networks.flat, p, rtol=1e-4, atol=1e-6)


def test_the_densities_of_actions_integrate_to_one():
    """Over the actions of one observation, by quadrature."""
    units = Units(np.zeros(1), np.ones(1), np.array(0.0), np.array(1.0))
    made = SAC(-np.ones(1), np.ones(1), units, np.random.default_rng(3), (8,), dtype=np.float64)
    e = np.linspace(-9, 9, 4001)[:, None]
    a, logp, _ = made.act(np.full((4001, 1), 0.7), e)
    assert np.trapezoid(np.exp(logp), a[:, 0]) == pytest.approx(1.0, abs=1e-4)


def test_an_end_is_worth_nothing_more_whatever_is_called_zero():
    """The target, in the unit of the reward and with its mean's worth put back, is what an
    undisguised one is: r at an end, r + gamma V elsewhere.
    """
    made, rng = learner(), np.random.default_rng(1)
    reward, r = rng.normal(size=B), batch(rng)
    scaled = made.batch(r.o, r.a, reward, r.onext, r.end > 0)
    y = made.targets(scaled, np.random.default_rng(5))
    worth = 0.3 / (1 - 0.99)  # of the mean reward for ever
    a, logp, _ = made.act(
        scaled.onext, np.random.default_rng(5).standard_normal((B, DU), np.float32)
    )
    ahead = 2.0 * (made.value(made.target, scaled.onext, a).min(0) - made.alpha * logp) + worth
    expected = reward + 0.99 * np.where(r.end > 0, 0.0, ahead)
    np.testing.assert_allclose(2.0 * y + worth, expected, rtol=1e-6)


def test_critics_of_a_linear_quadratic_problem_are_least_at_riccatis_action():
    """x' = 0.9 x + 0.5 u, r = -(x^2 + u^2), the policy held at Riccati's gain without noise: its
    action value is a quadratic whose best action is the gain's own.
    """
    gamma, A, G = 0.9, 0.9, 0.5
    V = 1.0
    for _ in range(500):
        K = gamma * V * A * G / (1 + gamma * V * G**2)
        V = 1 + K**2 + gamma * V * (A - G * K) ** 2
    rng = np.random.default_rng(0)
    units = Units(np.zeros(1), np.ones(1), np.array(0.0), np.array(1.0))
    made = SAC(-np.ones(1), np.ones(1), units, rng, (32, 32), gamma, critic_rate=3e-3, track=0.05)
    x, u = rng.uniform(-1, 1, (4000, 1)), rng.uniform(-1, 1, (4000, 1))
    after = A * x + G * u
    for step in range(2500):
        made.rates = (0.0, 3e-3 * 0.998**step, 0.0)
        some = rng.integers(len(x), size=256)
        b = made.batch(x[some], u[some], -(x[some] ** 2 + u[some] ** 2)[:, 0], after[some],
                       np.zeros(256, bool))  # fmt: skip
        next_value = made.value(made.target, b.onext, -np.float32(K) * b.onext).min(0)
        made.update_critic(b.o, b.a, b.reward + np.float32(gamma) * next_value)
    grid = np.linspace(-1, 1, 201, dtype=np.float32)[:, None]
    for at in (-0.8, 0.4, 0.8):
        value = made.value(made.critic, np.full_like(grid, at), grid).mean(0)
        quadratic = np.polyfit(grid[:, 0], value, 2)
        assert -quadratic[1] / (2 * quadratic[0]) == pytest.approx(-K * at, abs=0.05)


def small(**more):
    return sac.Config(**{
        "iterations": 3, "iteration_steps": 40, "warm_up": 45, "update_ratio": 1.5, "batch": 16,
        "hidden": (8,), **more
    })  # fmt: skip


def test_a_run_goes_on_to_the_same_bits_with_its_replay(tmp_path):
    task, rng = make_task("point_mass", conditions=2), np.random.default_rng(0)
    rows, at = [], []
    for row in sac.train(task, small(), rng):
        rows.append(row)
        at.append(rng.bit_generator.state)
        save_tree(tmp_path / str(row.number), row.state)
    for row, draws in zip(rows[:-1], at, strict=False):
        again = np.random.default_rng()
        again.bit_generator.state = draws
        state, _ = load_tree(tmp_path / str(row.number))
        rest = list(sac.train(task, small(), again, state))
        assert [r.scalars for r in rest] == [r.scalars for r in rows[row.number :]]
    steps = rows[-1].scalars["env_steps"]
    assert rows[-1].scalars["updates"] == np.floor(1.5 * (steps - 45))
    save_policy(tmp_path / "p", rows[-1].policy)
    o = rng.normal(size=task.do)
    np.testing.assert_array_equal(load_policy(tmp_path / "p").act(o), rows[-1].policy.act(o))


def test_a_saved_learner_of_another_shape_is_refused():
    made = learner()
    with pytest.raises(CheckpointError, match="sac"):
        learner(hidden=(5,)).load_state(made.state())


def test_actions_without_limits_and_costs_that_change_with_time_are_refused():
    task = make_task("point_mass")
    task.action_high = np.full(task.du, np.inf)
    with pytest.raises(InputError, match="without limits"):
        next(sac.train(task, small(), np.random.default_rng(0)))
    with pytest.raises(InputError, match="changes with time"):
        next(sac.train(make_task("mountain_car"), small(), np.random.default_rng(0)))


def test_what_an_environment_pays_is_learned_from_as_it_is(monkeypatch):
    """The rewards of Pendulum-v1 are minus its known formula; a fitted cost is asked by nobody."""
    task = make_task("gymnasium:Pendulum-v1", horizon=30)
    monkeypatch.setattr(type(task.learned), "_fit", lambda *_: pytest.fail("the fit was asked"))
    *_, last = sac.train(task, small(iterations=1, evaluate_every=0), np.random.default_rng(0))
    data = last.state["replay"]
    (c, s, rate), u = data["x"].T, data["u"][:, 0]
    formula = -(np.arctan2(s, c) ** 2 + 0.1 * rate**2 + 0.001 * u**2)
    np.testing.assert_allclose(data["reward"], formula, atol=1e-4)


@pytest.mark.parametrize("name", ["point_mass", "gymnasium:InvertedPendulum-v5"])
def test_episodes_of_others_are_learned_from_as_ones_own(name):
    """Those of InvertedPendulum end early, and are paid; a point's have a cost."""
    more = {"horizon": 30} if ":" in name else {}
    task = make_task(name, conditions=2, **more)
    own, other = (Stepwise(task, ReplayBuffer(), lambda: None) for _ in range(2))
    act = explored(task, lambda: None, 10**9, lambda: 0, np.random.default_rng(1), repeat=8)
    found = own.episodes(act, 100, 0, np.random.default_rng(0))
    if task.cost is getattr(task, "learned", None):  # as before an episode of its own
        task.reward = None
        task.cost.clear()  # what was paid is known from the episodes alone
    other.take(found)
    assert other.buffer.lengths == own.buffer.lengths
    for a, b in zip(other.buffer.data, own.buffer.data, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_random_actions_that_are_held_are_limits_and_as_often_short_as_long():
    task = make_task("point_mass")
    act = explored(task, lambda: None, 1, lambda: 0, np.random.default_rng(0), repeat=16)
    x, held = np.zeros((1, task.dx)), []
    for _ in range(300):
        u = np.array([act(x, x, t)[0] for t in range(64)])
        assert np.isin(u, np.stack([task.action_low, task.action_high])).all()
        change = 1 + np.flatnonzero((u[1:] != u[:-1]).any(1))
        held.append(np.gcd.reduce(change) if len(change) else 64)
    held = np.array(held)
    # by the logarithm of the time that is drawn, 1 to 17: 1, and 2 or 3, are log(2) / log(17) each
    for found in (held == 1, (held == 2) | (held == 3)):
        assert found.mean() == pytest.approx(np.log(2) / np.log(17), abs=0.08)


def test_a_point_is_brought_to_its_target():
    task = make_task("point_mass")
    fast = {"actor_rate": 3e-3, "critic_rate": 3e-3, "track": 0.02, "batch": 64, "discount": 0.95}
    config = sac.Config(iterations=5, iteration_steps=100, warm_up=100, update_ratio=3.0,
                        hidden=(32, 32), **fast)  # fmt: skip
    costs = [row.scalars["cost"] for row in sac.train(task, config, np.random.default_rng(0))]
    assert costs[-1] < 0.3 * costs[0]
