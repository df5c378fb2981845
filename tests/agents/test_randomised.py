"""Randomised physics against MuJoCo itself with the same numbers written into its model."""

import mujoco
import numpy as np
import pytest

from agents.tasks import make_task
from agents.tasks.wrappers.randomised import FIELDS, LogNormal, LogUniform, Randomised, Uniform
from lqr import InputError

STEPS = 20
NOTHING = dict.fromkeys(FIELDS)  # none of them is drawn


def play(task, u, seed=0):
    """Returns x (B, S+1, dx) and o (B, S+1, do) under the actions u (B, S, du)."""
    x, o = [task.reset(np.zeros(len(u), int), np.random.default_rng(seed))], [task.observe()]
    for t in range(u.shape[1]):
        x.append(task.step(u[:, t]))
        o.append(task.observe())
    return np.stack(x, 1), np.stack(o, 1)


def actions(task, count, seed=1):
    return np.random.default_rng(seed).uniform(
        task.action_low, task.action_high, size=(count, STEPS, task.du)
    )


@pytest.mark.parametrize("name", FIELDS)
def test_a_factor_is_that_of_the_field_in_mujocos_own_model(name):
    task = Randomised(make_task("hopper"), **(NOTHING | {name: LogUniform(0.3, 3.0)}))
    u = actions(task, 3)
    task.reset(np.zeros(3, int), np.random.default_rng(0))
    sim, plain = task._sim, make_task("hopper")
    plain.start(sim.field("qpos").copy(), sim.field("qvel").copy())
    worlds = []
    for i in range(3):
        model = mujoco.MjModel.from_xml_path(sim.xml)
        for field in FIELDS[name]:
            array = getattr(model, field)
            factor = task.factors[name][i]
            array[:] *= factor.reshape(-1, *[1] * (array.ndim - 1))
        data = mujoco.MjData(model)
        mujoco.mj_setConst(model, data)
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = sim.field("qpos")[i], sim.field("qvel")[i]
        worlds.append((model, data))
    for t in range(STEPS):
        task.step(u[:, t])
        plain.step(u[:, t])
        for (model, data), control in zip(worlds, u[:, t], strict=True):
            data.ctrl[:] = control
            mujoco.mj_step(model, data, sim.frame_skip)
    expected = np.stack([data.qpos for _, data in worlds])
    np.testing.assert_allclose(sim.field("qpos"), expected, atol=1e-9)
    assert np.abs(plain._sim.field("qpos") - expected).max() > 1e-5


def test_physics_that_is_always_the_models_is_the_task_bit_for_bit():
    same = Randomised(make_task("reacher"), **dict.fromkeys(FIELDS, LogUniform(1.0, 1.0)))
    plain = make_task("reacher")
    u = actions(plain, 2)
    rng = np.random.default_rng(0)
    rng.integers(2**63)  # what the physics is drawn from
    x = [plain.reset(np.zeros(2, int), rng)]
    x += [plain.step(u[:, t]) for t in range(STEPS)]
    np.testing.assert_array_equal(play(same, u)[0], np.stack(x, 1))


def test_the_physics_changes_with_every_episode_and_follows_from_the_seed():
    task, rng = make_task("randomised:hopper"), np.random.default_rng(0)
    drawn = []
    for _ in range(2):
        task.reset(np.zeros(2, int), rng)
        drawn.append(task.factors["mass"])
    assert len(np.unique(np.concatenate(drawn))) == drawn[0].size * 2
    again = make_task("randomised:hopper")
    again.reset(np.zeros(2, int), np.random.default_rng(0))
    np.testing.assert_array_equal(again.factors["mass"], drawn[0])


def test_commands_arrive_as_late_as_was_drawn():
    task = Randomised(make_task("reacher"), **NOTHING, delay=Uniform(0, 3))
    u = actions(task, 8)
    task.reset(np.zeros(8, int), np.random.default_rng(3))
    assert len(np.unique(task.late)) > 2
    for t in range(STEPS):
        task.step(u[:, t])
        expected = [
            u[i, t - late] if t >= late else np.zeros(2) for i, late in enumerate(task.late)
        ]
        np.testing.assert_array_equal(task._sim.field("ctrl"), expected)


def test_noise_is_on_what_the_policy_sees_and_not_on_the_state():
    clean = Randomised(make_task("reacher"), **NOTHING)
    spread = np.r_[np.zeros(5), 0.1 * np.ones(5)]
    noisy = Randomised(make_task("reacher"), **NOTHING, noise=spread)
    u = actions(clean, 200)
    (x, o), (y, p) = play(clean, u), play(noisy, u)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_allclose((p - o).std((0, 1)), spread, atol=0.005)
    np.testing.assert_array_equal(noisy.observe(), noisy.observe())
    assert np.abs(np.corrcoef((p - o)[:, 3, 5], (p - o)[:, 4, 5])[0, 1]) < 0.3  # fresh at each step


def test_the_distributions_are_what_they_are_called():
    rng = np.random.default_rng(0)
    assert Uniform(2, 4).draw(rng, (4000,)).mean() == pytest.approx(3.0, abs=0.05)
    factors = np.log(LogUniform(0.5, 2.0).draw(rng, (4000,)))
    assert factors.mean() == pytest.approx(0.0, abs=0.03)
    assert factors.std() == pytest.approx(np.log(4) / np.sqrt(12), abs=0.02)
    assert np.log(LogNormal(0.3).draw(rng, (4000,))).std() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: Randomised(make_task("pendulum")),
            "got the task pendulum; expected one of MuJoCo",
        ),
        (lambda: Randomised(make_task("reacher"), noise=[1.0, 2.0]), "expected one number or 10"),
        (lambda: LogUniform(0.0, 2.0), r"expected 0 < low <= high"),
        (lambda: Uniform(3.0, 2.0), "low <= high"),
        (lambda: LogNormal(-1.0), "0 or above"),
        (
            lambda: play(
                Randomised(make_task("reacher"), mass=Uniform(-1, 0)), np.zeros((1, 1, 2))
            ),
            "mass gave the fact",
        ),
        (
            lambda: play(
                Randomised(make_task("reacher"), delay=Uniform(-2, -1)), np.zeros((1, 1, 2))
            ),
            "delay gave -",
        ),
    ],
)
def test_what_no_physics_has_is_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()
