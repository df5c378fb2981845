"""The tasks whose models are ours: what is where at the start, what touches what, and what an
action does.
"""

import numpy as np
import pytest

from agents.tasks import make_task
from agents.tasks.mujoco.door import CLOSE, OPEN, STARTS
from agents.tasks.mujoco.gripper import BLOCKS, GOAL


def started(name):
    task = make_task(name)
    return task, task.reset(np.arange(task.conditions), np.random.default_rng(0))


@pytest.mark.parametrize("name", ["door", "gripper", "obstacle"])
def test_nothing_touches_at_the_start_and_nothing_moves_without_an_action(name):
    task, x = started(name)
    for c in range(task.conditions):
        assert not (task._sim.data(c).contact.dist < -1e-3).any()
    for _ in range(20):
        y = task.step(np.zeros((task.conditions, task.du)))
    np.testing.assert_allclose(y, x, atol=0.01)


def test_the_hook_starts_beside_the_handle_at_the_depth_of_its_place_behind_it():
    _, x = started("door")
    gap = x[:, 14:17]
    np.testing.assert_allclose(np.abs(gap[:, 0]), 0.0, atol=2e-3)
    np.testing.assert_allclose(gap[:, 1], [-0.12, -0.12, -0.09, -0.09], atol=2e-3)
    np.testing.assert_allclose(gap[:, 2], [0.03, -0.03, 0.03, -0.03], atol=2e-3)
    assert (x[:, 12:14] == 0).all()


def test_the_door_opens_when_the_hook_pulls_the_handle_and_stays_shut_when_it_pulls_beside_it():
    task, rest = make_task("door"), np.pad(STARTS[:1], ((0, 0), (0, 1)))
    sideways = np.zeros(6)
    sideways[0] = 0.15  # the pan, until the hook is behind the handle
    angles = []
    for hooked in (True, False):
        x = task.start(rest, np.zeros((1, 7)))
        for t in range(100):
            gap = x[0, 14:17]
            if hooked and t < 40:
                u = _towards(task, -gap)
            else:
                u = _towards(task, np.array([-0.15, 0.0, 0.0]))
            x = task.step(u[None])
        angles.append(x[0, 12])
    assert angles[0] > 0.2
    assert abs(angles[1]) < 1e-3


def _towards(task, way):
    """Returns torques (6,) that push the hook along `way` (3, m) by the transpose of its Jacobian,
    and damp the arm.
    """
    import mujoco

    data, jacobian = task.data(0), np.zeros((3, task.model.nv))
    mujoco.mj_jacSite(task.model, data, jacobian, None, task.model.site("hook").id)
    torque = jacobian[:, :6].T @ (400.0 * way) - 1.0 * data.qvel[:6]
    return np.clip(torque / task.model.actuator_gear[:, 0], -1, 1)


def test_the_wanted_angle_of_the_door_is_within_its_reach_and_the_least_cost():
    task, x = started("door")
    low, high = task.model.joint("door").range
    assert low < OPEN - CLOSE
    assert high > OPEN + CLOSE
    X = np.repeat(x[:1, None], 101, axis=1)
    U = np.zeros((1, 100, 6))
    costs = []
    for angle in (0.0, OPEN - 0.05, OPEN, OPEN + 0.05):
        X[..., 12] = angle
        costs.append(task.cost(X, U).sum())
    assert np.argmin(costs) == 2
    np.testing.assert_allclose(task.metrics(X, U)["success"], 1.0)


def test_a_closed_gripper_has_two_fingers_that_move_together():
    task, _ = started("gripper")
    u = np.zeros((4, 4))
    u[:, 3] = -1.0
    for _ in range(20):
        task.step(u)
    fingers = task._sim.field("qpos")[:, 3:5]
    assert (fingers < -0.005).all()
    np.testing.assert_allclose(fingers[:, 0], fingers[:, 1], atol=2e-3)


def test_the_block_is_moved_by_the_gripper_alone_and_the_gap_follows_it():
    task, x = started("gripper")
    np.testing.assert_allclose(x[:, 8:10], BLOCKS - GOAL, atol=1e-12)
    assert (np.linalg.norm(x[:, 12:14], axis=1) > 0.06).all()  # m, in front of the palm
    u = np.zeros((4, 4))
    # about the shoulder: the hand goes to the left, with the block between the fingers
    u[:, 0] = 0.5
    for _ in range(25):
        y = task.step(u)
    assert (np.linalg.norm(y[:, 8:10] - x[:, 8:10], axis=1) > 0.02).all()
    block = task._sim.field("qpos")[:, 5:]
    np.testing.assert_allclose(y[:, 8:10] + GOAL, block, atol=1e-12)


def test_the_box_is_in_the_way_and_holds_the_disc():
    task, x = started("obstacle")
    ways = -x[:, :2] / np.linalg.norm(x[:, :2], axis=1, keepdims=True)
    for _ in range(100):
        y = task.step(np.clip(0.5 * ways, -1, 1))
    place = y[:, :2] + [0.6, 0.3]
    assert (place[:, 0] < -0.1).any()  # m, stopped by the box, whose left side is at -0.08
    inside = (np.abs(place[:, 0]) < 0.08) & (np.abs(place[:, 1] + 0.05) < 0.3)
    assert not inside.any()
