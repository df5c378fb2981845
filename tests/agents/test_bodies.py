"""Swimmers of links, and disks that push each other: the tasks, and planning in a graph network."""

from pathlib import Path

import numpy as np
import pytest

from agents import load_policy, save_policy
from agents.mpc import mpc
from agents.tasks import make_task
from agents.tasks.classic.billiards import RADIUS, STIFFNESS, Billiards, closest, straight_on
from agents.tasks.mujoco.links import Links, middles_of, shape_of
from lqr import InputError


@pytest.mark.parametrize("n", [2, 3, 6])
def test_where_the_links_are_is_what_mujoco_says(n):
    rng = np.random.default_rng(0)
    task = Links(n)
    x = task.start(*rng.normal(size=(2, 4, n + 2)))
    data = [task.data(i) for i in range(4)]
    middles = np.stack([d.geom_xpos[1:, :2] for d in data])
    np.testing.assert_allclose(middles_of(x), middles, atol=1e-12)
    np.testing.assert_allclose(x[:, :2], [d.subtree_com[1, :2] for d in data], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(np.diff(shape_of(x), axis=-2), axis=-1), 1.0)
    back = task.start(*task.to_qpos_qvel(x))
    np.testing.assert_allclose(back, x, atol=1e-12)


def test_velocities_are_the_slopes_of_places():
    rng = np.random.default_rng(1)
    task = Links(4)
    qpos, qvel = rng.normal(size=(2, 5, 6))
    h = 1e-6
    up, down = (task.start(qpos + s * h * qvel, qvel) for s in (1, -1))
    x = task.start(qpos, qvel)
    np.testing.assert_allclose((up - down)[:, :6] / (2 * h), x[:, 6:], atol=1e-7)


def test_three_links_swim_as_gymnasiums_swimmer():
    """But for the mass of its links' ends, which are thicker, and where it is seen from."""
    ours, theirs = make_task("links", horizon=20), make_task("swimmer", horizon=20)
    assert ours.dt == pytest.approx(theirs.dt)
    assert ours.model.opt.density == theirs.model.opt.density
    assert ours.model.opt.viscosity == theirs.model.opt.viscosity
    np.testing.assert_allclose(ours.model.actuator_gear[:, 0], theirs.model.actuator_gear[:, 0])


@pytest.mark.parametrize(("name", "dx", "du"), [("links:5", 14, 4), ("billiards:6", 24, 2)])
def test_the_name_says_how_many_bodies(name, dx, du):
    task = make_task(name)
    assert (task.name, task.dx, task.du) == (name, dx, du)
    assert make_task(name.split(":")[0]).name == name.split(":")[0]
    with pytest.raises(InputError, match="unknown task"):
        make_task(f"{name}x")


def test_disks_keep_their_momentum_and_energy_among_themselves():
    task = Billiards(3)
    s = np.array([0.4, 0.5, 0.6, 0.5, 0.5, 0.75, 0.7, 0.0, -0.3, 0.1, 0.0, -0.6])
    x = [s]
    for _ in range(15):
        x.append(task.advance(x[-1], np.zeros(2)))
    x = np.stack(x)
    v = x[:, 6:].reshape(-1, 3, 2)
    np.testing.assert_allclose(v.sum(1), np.tile(v[0].sum(0), (16, 1)), atol=1e-9)
    assert np.abs(v[-1] - v[0]).max() > 0.3  # they have met
    assert (v[-1] ** 2).sum() == pytest.approx((v[0] ** 2).sum(), rel=2e-3)


def test_alone_a_disk_goes_straight_on_and_a_wall_holds_it_for_half_an_oscillation():
    task = Billiards(2)
    s = np.array([[0.5, 0.3, 0.9, 0.9, 0.8, 0.0, 0.0, 0.0]])
    x = s
    for _ in range(50):
        x = task.advance(x, np.zeros((1, 2)))
    held = np.pi / np.sqrt(STIFFNESS)  # s, of 1 kg
    np.testing.assert_allclose(straight_on(s, 50)[0, :2], [1 - RADIUS - (0.8 - 0.42), 0.3])
    np.testing.assert_allclose(x[0, :2], straight_on(s, 50)[0, :2] + [0.8 * held, 0.0], atol=1e-3)
    np.testing.assert_allclose(x[0, 4:6], [-0.8, 0.0], atol=1e-3)


def test_without_the_others_disks_pass_through_each_other():
    task = Billiards(2)
    s = np.array([0.3, 0.5, 0.6, 0.5, 1.0, 0.0, 0.0, 0.0])
    x = s
    for _ in range(20):
        x = task.advance_alone(x, np.zeros(2))
    np.testing.assert_allclose(x, [0.7, 0.5, 0.6, 0.5, 1.0, 0.0, 0.0, 0.0], atol=1e-12)


def test_closest_is_the_least_distance_of_the_first_two():
    x = np.zeros((1, 3, 8))
    x[0, :, :4] = [[0, 0, 1, 0], [0.5, 0, 0.5, 0.1], [1, 0, 0, 0]]
    assert closest(x)[0] == pytest.approx(0.1)
    task = Billiards(2)
    assert task.metrics(x, np.zeros((1, 2, 2)))["hit"][0] == 1.0
    assert closest(x)[0] < 2 * RADIUS


def test_mpc_plans_in_a_graph_network_and_is_saved(tmp_path):
    task = Links(2, horizon=6)
    config = mpc.Config(
        model="graph", iterations=2, fit_steps=5, hidden=(8,), horizon=3, planner="icem"
    )
    rows = list(mpc.train(task, config, np.random.default_rng(0)))
    assert len(rows) == 2
    model = rows[-1].policy.model.dynamics
    assert model.graph is task.graph
    save_policy(tmp_path / "policy", rows[-1].policy)
    again = load_policy(tmp_path / "policy", task=task)
    x = task.reset(np.zeros(1, int), np.random.default_rng(0))
    a, b = (p.sample(x, 0, np.random.default_rng(1)) for p in (rows[-1].policy, again))
    assert np.array_equal(a, b)


def test_the_example_of_the_page_runs(capsys):
    """It asks the same weights about six links, and prints the shape of their states."""
    page = Path(__file__).resolve().parents[2] / "docs" / "structure.md"
    code = page.read_text().split("```python\n")[1].split("```")[0]
    exec(compile(code, str(page), "exec"), {})
    assert capsys.readouterr().out.strip() == f"(1, {Links(6).dx})"
