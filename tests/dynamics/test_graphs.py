"""Graph networks: bodies in any order and anywhere, the algorithm in plain loops, learning."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from agents.tasks.classic.billiards import Billiards
from agents.tasks.mujoco.links import Links
from agents.tasks.mujoco.links import graph_of as chain
from dynamics.graphs.graph import Graph, one_body
from dynamics.graphs.messages import Messages, Scales
from dynamics.graphs.network import GraphNetwork
from dynamics.networks.modules import MLP, part, to_tensors
from dynamics.priors.linearised import Linearised
from lqr import CheckpointError, InputError

SMALL = {"rounds": 2, "hidden": (12,), "width": 8, "steps": 3, "unroll_steps": 1}


def swum(links, rng, M=60, spread=0.2):
    """Transitions of a swimmer from random states, as one episode each."""
    task = Links(links)
    x = spread * rng.standard_normal((M, task.dx))
    u = rng.uniform(-1, 1, (M, task.du))
    task.start(*task.to_qpos_qvel(x))
    return x, u, task.step(u)


def learned(rng, links=(3, 4), **settings):
    model = GraphNetwork(**SMALL, **settings)
    model.fit_graphs([(chain(n), *swum(n, rng)) for n in links], rng)
    return bent(model, rng)


def bent(model, rng):
    """Returns the model with random weights in its last layer too: nothing of it is nearly 0."""
    model.params["decode.W1"] = rng.standard_normal(model.params["decode.W1"].shape)
    return model


def turned(x, angle, shift=0.0):
    """Returns the same swimmers (..., 2n + 4), turned about the origin and shifted."""
    n = x.shape[-1] // 2 - 2
    c, s = np.cos(angle), np.sin(angle)
    R, y = np.array([[c, -s], [s, c]]), x.copy()
    for i in (0, n + 2):
        y[..., i : i + 2] = x[..., i : i + 2] @ R.T
    y[..., 2 : n + 2] += angle
    y[..., :2] += shift
    return y


def test_bodies_in_another_order_move_the_same():
    rng = np.random.default_rng(0)
    task = Billiards(4)
    s, u = task.layouts(80, rng), rng.uniform(-50, 50, (80, 2))
    model = GraphNetwork(**SMALL)
    model.fit_graphs([(task.graph, s, u, task.advance(s, u))], rng)
    bent(model, rng)
    order = np.array([0, 3, 1, 2])  # the first is the one that is pushed
    swap = (8 * np.arange(2)[:, None, None] + 2 * order[:, None] + np.arange(2)).ravel()
    np.testing.assert_allclose(model.mean(s[:, swap], u), model.mean(s, u)[:, swap], atol=1e-6)
    other = task.graph.nodes(torch.as_tensor(s), torch.as_tensor(u))
    assert not torch.allclose(other[:, 1], other[:, 2])


def test_a_chain_seen_from_its_other_end_moves_the_same():
    rng = np.random.default_rng(1)
    model, (x, u, _) = learned(rng), swum(3, rng)
    n = 3
    back = np.r_[0, 1, 2 + np.arange(n)[::-1], n + 2, n + 3, n + 4 + np.arange(n)[::-1]]

    def mirrored(x):
        """Every link points the other way, and the last one is the first."""
        y = x[:, back]
        y[:, 2 : n + 2] += np.pi
        return y

    task, ahead = Links(3), mirrored(x)
    task.start(*task.to_qpos_qvel(ahead))
    true = task.step(-u[:, ::-1])
    task.start(*task.to_qpos_qvel(x))
    np.testing.assert_allclose(true, mirrored(task.step(u)), atol=1e-4)  # so the physics is
    nodes = model.graph.nodes(torch.as_tensor(x), torch.as_tensor(u))
    far = model.graph.nodes(torch.as_tensor(ahead), torch.as_tensor(-u[:, ::-1].copy()))
    np.testing.assert_allclose(nodes.flip(1)[..., :2], -far[..., :2], atol=1e-12)
    np.testing.assert_allclose(nodes.flip(1)[..., 2], far[..., 2], atol=1e-12)


@pytest.mark.parametrize("links", [3, 6])
def test_a_swimmer_that_is_turned_and_far_away_swims_the_same(links):
    rng = np.random.default_rng(2)
    model, (x, u, _) = learned(rng).on(chain(links)), swum(links, rng)
    after, J = model.mean(x, u), model.jacobian(x, u)
    assert np.abs(after - x).max() > 0.1
    for angle, shift in ((0.7, 0.0), (-2.5, np.array([5000.0, -300.0]))):
        moved = turned(x, angle, shift)
        np.testing.assert_allclose(model.mean(moved, u), turned(after, angle, shift), atol=1e-5)
    np.testing.assert_allclose(J[:, :, :2], np.broadcast_to(np.eye(2 * links + 4)[:, :2],
                                                            (len(x), 2 * links + 4, 2)), atol=1e-6)  # fmt: skip


def test_one_round_is_the_algorithm_in_plain_loops():
    """Algorithm 1 of Battaglia et al. (2018), without its global block, on three bodies."""
    rng = np.random.default_rng(3)
    senders, receivers = np.array([0, 1, 2, 2]), np.array([1, 0, 1, 0])
    V, E = rng.standard_normal((3, 2)), rng.standard_normal((4, 3))
    count = np.array([1.0, 0.5, 0.0, 2.0])
    graph = Graph(
        1, 1, senders, receivers,
        nodes=lambda x, u: torch.as_tensor(V), edges=lambda x, u: torch.as_tensor(E),
        changes=None, move=None, weights=lambda x: torch.as_tensor(count),
    )  # fmt: skip
    scales = Scales(
        *(rng.standard_normal(2), np.array([0.5, 2.0])),
        *(rng.standard_normal(3), np.array([1.0, 0.3, 2.0])),
        *(rng.standard_normal(2), np.array([0.1, 3.0])),
        *(rng.standard_normal((5, 2)), np.array([0.4, 0.7])),
    )
    net = Messages(2, 3, 2, rounds=1, hidden=(5, 4), width=6)
    start = net.start(rng)
    start = {k: rng.standard_normal(a.shape) for k, a in start.items()}  # biases too
    found = net(to_tensors(start), graph, scales, torch.zeros(1), torch.zeros(1)).numpy()

    def mlp(name, z):
        last = max(int(k[-1]) for k in start if k.startswith(f"{name}.W"))
        for i in range(last + 1):
            z = z @ start[f"{name}.W{i}"] + start[f"{name}.b{i}"]
            z = z * expit(z) if i < last else z
        return z

    v = [(a - scales.node_mean) * scales.node_rate for a in V]
    e = [(a - scales.edge_mean) * scales.edge_rate for a in E]
    h, g = [mlp("node", a) for a in v], [mlp("edge", a) for a in e]
    for k in range(4):
        g[k] = mlp("round.edges", np.r_[g[k], h[senders[k]], h[receivers[k]]])
    for i in range(3):
        total = sum(count[k] * g[k] for k in range(4) if receivers[k] == i) + np.zeros(6)
        out = h[i] + mlp("round.nodes", np.r_[h[i], total])
        sees = np.r_[
            v[i], sum(count[k] * e[k] for k in range(4) if receivers[k] == i) + np.zeros(3)
        ]
        change = sees @ scales.linear + scales.spread * mlp("decode", out)
        wanted = scales.change_mean + scales.change_std * change
        np.testing.assert_allclose(found[i], wanted, rtol=2e-4, atol=2e-4)


def test_one_body_is_a_perceptron():
    rng = np.random.default_rng(4)
    x, u = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    model = GraphNetwork(**SMALL)
    model.fit(x, u, x + 0.1 * np.sin(x) + 0.1 * u[:, :1], rng)
    params, scales = to_tensors(bent(model, rng).params), model.scales
    z = (np.concatenate([x, u], 1) - scales.node_mean) * scales.node_rate
    deep = torch.as_tensor(z).float()
    for name, sizes in (("node", (5, 12, 8)), ("decode", (8, 12, 3))):
        deep = MLP(sizes)(part(params, name), deep)
    change = z @ scales.linear[:5] + scales.spread * deep.double().numpy()
    wanted = x + scales.change_mean + scales.change_std * change
    np.testing.assert_allclose(model.mean(x, u), wanted, atol=1e-6)


@pytest.mark.parametrize("links", [3, 5])
def test_the_jacobian_is_that_of_the_mean_by_central_differences(links):
    rng = np.random.default_rng(5)
    model, (x, u, _) = learned(rng).on(chain(links)), swum(links, rng, 6)
    J, h, dx = model.jacobian(x, u), 1e-2, x.shape[1]
    z = np.concatenate([x, u], 1)
    for i in range(z.shape[1]):
        step = h * np.eye(z.shape[1])[i]
        up, down = (model.mean(w[:, :dx], w[:, dx:]) for w in (z + step, z - step))
        scale = np.abs(J).max()
        np.testing.assert_allclose(J[..., i], (up - down) / (2 * h), atol=2e-3 * scale)


@pytest.mark.parametrize("own", [True, False])
def test_uncertainty_is_that_of_bodies_that_err_together_or_independently(own):
    """By drawing errors of each link's change, and moving by them."""
    rng = np.random.default_rng(6)
    model, (x, u, _) = learned(rng), swum(3, rng, M=2)
    model = model if own else model.on(chain(3))
    cov = model.predict(x, u).cov
    root = model.joint if own else np.kron(np.eye(3), model.residual)
    draws = rng.standard_normal((40_000, 2, 18)) @ np.linalg.cholesky(root).T
    errors = torch.as_tensor(draws.reshape(-1, 2, 3, 6))
    moved = model.graph.move(torch.as_tensor(x).expand(len(errors), -1, -1), errors).numpy()
    for i in range(2):
        std = np.sqrt(np.diag(cov[i]))
        drawn = np.cov(moved[:, i].T)
        np.testing.assert_allclose(
            drawn / std / std[:, None], cov[i] / std / std[:, None], atol=0.04
        )


def test_intervals_of_a_swimmer_cover_what_they_say():
    rng = np.random.default_rng(7)
    model = GraphNetwork(**{**SMALL, "steps": 40})
    model.fit_graphs([(chain(n), *swum(n, rng, 800)) for n in (3, 4)], rng)
    x, u, after = swum(3, rng, 1000)
    mean, cov = model.predict(x, u)
    gap = np.abs(after - mean) / np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    assert (gap < 1.645).mean() == pytest.approx(0.9, abs=0.06)


def test_moving_by_the_changes_leads_to_the_next_state():
    rng = np.random.default_rng(7)
    x, _, after = swum(5, rng)
    ball = Billiards(3)
    s = ball.layouts(20, rng)
    for graph, a, b in ((chain(5), x, after), (ball.graph, s, ball.advance(s, np.ones((20, 2))))):
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        np.testing.assert_allclose(graph.move(a, graph.changes(a, b)), b, atol=1e-12)


def test_what_is_learned_of_short_chains_is_true_of_longer_ones():
    """In one step of a swimmer of six links angles and rates are wrong by less than 0.7 of what the
    linear path alone leaves, and the centre of mass by no more.
    """
    rng = np.random.default_rng(8)
    data = [(chain(n), *swum(n, rng, 600)) for n in (3, 4)]
    model = GraphNetwork(rounds=2, hidden=(32,), steps=100, batch=64, unroll_steps=0)
    model.fit_graphs(data, rng)
    x, u, after = swum(6, rng, 300)
    error = np.sqrt(((model.on(chain(6)).mean(x, u) - after) ** 2).mean(0))
    model.params |= {name: 0 * model.params[name] for name in ("decode.W1", "decode.b1")}
    alone = np.sqrt(((model.on(chain(6)).mean(x, u) - after) ** 2).mean(0))
    angles = np.r_[2:8, 10:16]
    assert (error[angles] < 0.7 * alone[angles]).all()
    assert (error < 1.15 * alone).all()


def test_a_model_of_a_graph_is_saved_and_is_a_prior(tmp_path):
    rng = np.random.default_rng(9)
    task, (x, u, after) = Links(3), swum(3, rng)
    prior = Linearised(GraphNetwork(**SMALL))
    prior.attach(task)
    prior.update(x, u, after)
    model = prior.model
    assert model.graph is task.graph
    local = prior.at(*(a.reshape(1, 5, 12, -1) for a in (x, u, after)))
    assert np.linalg.eigvalsh(local.Phi[0]).min() > 0
    model.save(tmp_path / "model")
    again = GraphNetwork.load(tmp_path / "model")
    with pytest.raises(InputError, match=r"expected model.on\(task.graph\)"):
        again.mean(x, u)
    again.attach(task)
    assert np.array_equal(again.linearise(x, u).noise, model.linearise(x, u).noise)
    wrong = GraphNetwork(**SMALL)
    wrong.attach(Links(4))
    with pytest.raises(CheckpointError, match="expected 12 and 3, as the graph has"):
        wrong.load_state(model.state())
    with pytest.raises(InputError, match=r"expected \(M, 12\) and \(M, 3\)"):
        wrong.fit(x, u, after, rng)


def test_a_state_without_a_graph_is_one_body():
    x, u = torch.ones((4, 3), dtype=torch.float64), torch.zeros((4, 2), dtype=torch.float64)
    graph = one_body(3, 2)
    assert graph.nodes(x, u).shape == (4, 1, 5)
    assert graph.edges(x, u).shape == (4, 0, 1)
