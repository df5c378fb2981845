"""PETS's arm: the tip where MuJoCo has it, derivatives by differences, rewards by their words."""

import numpy as np
import pytest

from agents.mpc.steps.saving import planning_cost
from agents.rollout import run
from agents.tasks import make_task
from agents.tasks.benchmarks.pets_arm import Apart, Missed, tip
from lqr import window


def test_the_tip_is_where_mujoco_has_it():
    task, rng = make_task("pets_reacher"), np.random.default_rng(0)
    task.reset(np.zeros(3, int), rng)
    for _ in range(40):
        x = task.step(rng.uniform(-20, 20, (3, 7)))
    for i in range(3):
        data = task.data(i)
        np.testing.assert_allclose(tip(x)[i], data.site("tip").xpos, atol=1e-12)
        np.testing.assert_allclose(x[i, 14:], data.body("target").xpos, atol=1e-12)


def test_the_reachers_derivatives_are_those_of_differences():
    rng, cost = np.random.default_rng(1), Missed()
    X, U, h = rng.normal(size=(2, 17)), np.zeros((1, 7)), 1e-5
    _, g, H = cost._parts(X, U)
    for i in range(17):
        step = h * np.eye(17)[i]
        up, down = cost._parts(X + step, U), cost._parts(X - step, U)
        np.testing.assert_allclose(g[:, i], (up[0] - down[0]) / (2 * h), atol=1e-7)
        np.testing.assert_allclose(H[:, i, :17], (up[1] - down[1])[:, :17] / (2 * h), atol=1e-7)


def test_rewards_are_those_of_the_paper():
    rng = np.random.default_rng(0)
    task = make_task("pets_reacher")
    episodes = run(task, lambda x, o, t: rng.uniform(-20, 20, (3, 7)), np.zeros(3, int), rng)
    gap = tip(episodes.x[:, 1:]) - episodes.x[:, 1:, 14:]
    paid = -(gap**2).sum((1, 2)) - 0.01 * (episodes.u**2).sum((1, 2))
    np.testing.assert_allclose(task.metrics(episodes.x, episodes.u)["return"], paid, rtol=1e-12)

    task = make_task("pets_pusher")
    episodes = run(task, lambda x, o, t: rng.uniform(-2, 2, (3, 7)), np.zeros(3, int), rng)
    tips, objects, goals = np.split(
        episodes.o[:, :-1, 14:], 3, axis=-1
    )  # Gymnasium's observation ends with the places
    paid = -1.25 * np.abs(objects - goals).sum((1, 2)) - 0.5 * np.abs(objects - tips).sum((1, 2))
    paid -= 0.1 * (episodes.u**2).sum((1, 2))
    np.testing.assert_allclose(task.metrics(episodes.x, episodes.u)["return"], paid, rtol=1e-9)
    np.testing.assert_allclose(goals[0, 0, :2], [0.45, -0.05], atol=1e-9)


@pytest.mark.parametrize("name", ["pets_pusher", "mbbl_reacher", "reacher"])
def test_a_cost_in_two_forms_is_cut_to_a_window_as_such(name):
    task, rng = make_task(name), np.random.default_rng(0)
    T, X = task.horizon, rng.normal(size=(2, task.horizon + 1, task.dx))
    U = rng.normal(size=(2, T, task.du))
    cut = window(task.cost, 7, 10, T)
    assert type(cut) is type(task.cost)
    np.testing.assert_allclose(
        cut(X[:, 7:18], U[:, 7:17])[:, :10], task.cost(X, U)[:, 7:17], rtol=1e-12
    )
    ours, whole = cut.expand(X[:, 7:18], U[:, 7:17]), task.cost.expand(X, U)
    np.testing.assert_allclose(ours.C[:, :10], whole.C[:, 7:17], rtol=1e-10, atol=1e-12)


def test_the_arm_pushes_the_object_as_it_did_for_pets():
    """Places are of MuJoCo 2.3.7 and Gymnasium's pusher.xml: the prong of the level fork takes the
    object along.

    With Gymnasium's own object, 8 mg and all inertia in its joints' armature, MuJoCo 4 moves it by
    12 mm.
    """
    task = make_task("pets_pusher")
    qpos = task.model.qpos0[None].copy()
    qpos[0, :7] = [0.0, 0.6712, 0.0, -0.5895, 0.0, -0.0818, 0.0]
    task.start(qpos, np.zeros((1, 11)))
    wrist, thing = (task.data(0).body(name).xpos for name in ("r_wrist_roll_link", "object"))
    qpos[0, 7:9] = (wrist - thing)[[1, 0]] + [0.0, 0.12]  # between the prongs
    began = task.start(qpos, np.zeros((1, 11)))[:, 14:16]
    for _ in range(25):  # 1 s, the shoulder turning
        x = task.step(0.5 * np.eye(7)[:1])
    np.testing.assert_allclose(x[0, [0, 1, 3]], [0.2252, 0.6687, -0.5994], atol=1e-3)
    np.testing.assert_allclose((x[:, 14:16] - began)[0], [0.0799, 0.0365], atol=3e-3)


def test_the_pushers_derivatives_are_those_of_differences_and_plans_ask_for_a_place_behind_the_object():
    rng, h = np.random.default_rng(2), 1e-6
    X, U = 0.1 * rng.normal(size=(3, 24)), np.zeros((3, 7))
    for cost in (Apart(1e-3), Apart(1e-3, behind=0.06)):
        _, g, H = cost._parts(X, U)
        np.testing.assert_allclose(cost._parts(X, U)[0], cost._value(X, U), rtol=1e-12)
        for i in range(24):
            up, down = (cost._parts(X + sign * h * np.eye(24)[i], U) for sign in (1, -1))
            np.testing.assert_allclose(g[:, i], (up[0] - down[0]) / (2 * h), atol=1e-6)
            np.testing.assert_allclose(H[:, i, :24], (up[1] - down[1])[:, :24] / (2 * h), atol=1e-4)
    x = np.zeros((1, 24))
    x[0, 21:23] = [0.3, -0.4]  # the object beyond the goal
    x[0, 18:20] = -0.06 * np.array([0.6, -0.8])  # and the tip 0.06 m further
    assert Apart(0.0, behind=0.06)._value(x, U[:1]) == pytest.approx(
        1.25 * 0.7 + 0.5 * 0.06 * 1.4 * (1 - 1 / 1.01**0.5)
    )
    task = make_task("pets_pusher")
    T, X = task.horizon, rng.normal(size=(1, task.horizon + 1, 24))
    assert planning_cost(task) is task.planning_cost
    assert (task.planning_cost(X, np.zeros((1, T, 7))) != task.cost(X, np.zeros((1, T, 7))))[
        :, :T
    ].all()
    assert (
        planning_cost(make_task("pets_reacher")).__class__
        is make_task("pets_reacher").cost.__class__
    )
