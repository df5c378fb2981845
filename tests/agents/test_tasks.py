"""What every task must do, whatever it is: one test over the table; and the tasks against the
Gymnasium they mirror.
"""

import tomllib
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from scipy.optimize import least_squares

from agents.rollout import run
from agents.tasks import TASKS, make_task
from agents.tasks.capabilities import Image, Named, ObservationOf, capability
from lqr import InputError, LinearGaussianController

STEPS = 25  # of the episodes that are compared; the tasks' own may have 1000
MIRRORS = {  # task -> what Gymnasium is asked for, and how it is configured
    "half_cheetah": ("HalfCheetah-v5", {}),
    "hopper": ("Hopper-v5", {}),
    "swimmer": ("Swimmer-v5", {}),
    "walker2d": ("Walker2d-v5", {}),
    "ant": ("Ant-v5", {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0}),
    "pusher": ("Pusher-v5", {}),
    "reacher_v5": ("Reacher-v5", {}),
    "inverted_pendulum": ("InvertedPendulum-v5", {}),
    "inverted_double_pendulum": ("InvertedDoublePendulum-v5", {}),
}

SMOOTHED = {
    "pets_pusher": 0.053
}  # six sizes |z|, made smooth within 0.01 each, with weights of 5.25 in all
MODEL = f"mjcf:{Path(__file__).resolve().parents[2] / 'agents/tasks/models/arm.xml'}"
FIXED = (
    "maze",
    "reacher_four",
    "reacher_four_hidden",
    "reacher_four_images",
    "peg",
    "peg_nine",
    "peg_blind",
    "gymnasium:Pendulum-v1",
    "randomised:reacher_four",
    MODEL,
)  # their starts are always the same


@pytest.fixture(
    params=[*TASKS, "gymnasium:Pendulum-v1", "randomised:reacher_four", "randomised:hopper", MODEL]
)
def task(request):
    try:
        made = make_task(request.param)
    except InputError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))
    if hasattr(made, "image"):
        made.reset(np.zeros(1, int), np.random.default_rng(0))
        try:
            made.observe()
        except InputError as error:
            pytest.skip(str(error))
    return made


def actions(task, count, seed=0, steps=STEPS):
    """Returns random actions within the limits, (count, steps, du)."""
    return np.random.default_rng(seed).uniform(
        task.action_low, task.action_high, size=(count, steps, task.du)
    )


def play(task, u, where, seed=0):
    """Returns x (B, S+1, dx), o (B, S+1, do) and done (B, S+1) of an episode under the actions u
    (B, S, du).
    """
    x, o, done = [task.reset(where, np.random.default_rng(seed))], [task.observe()], [task.done()]
    for t in range(u.shape[1]):
        x.append(task.step(u[:, t]))
        o.append(task.observe())
        done.append(task.done())
    return tuple(np.stack(a, 1) for a in (x, o, done))


def test_its_numbers_are_what_its_arrays_are(task):
    where = np.arange(4) % task.conditions
    x, o, done = play(task, actions(task, 4), where)
    assert x.shape == (4, STEPS + 1, task.dx)
    assert o.shape == (4, STEPS + 1, task.do)
    assert done.dtype == bool
    assert x.dtype == float
    assert o.dtype == (np.float32 if capability(task, Image) else float)  # pictures are bytes
    for limit in (task.action_low, task.action_high):
        assert limit.shape == (task.du,)
    assert (task.action_low < task.action_high).all()
    assert task.dt > 0
    assert task.horizon >= 1
    assert np.isfinite(x).all()
    assert np.isfinite(o).all()
    assert not done[:, 0].any()
    if capability(task, Named):
        assert len(task.state_names) == task.dx
        assert len(task.action_names) == task.du
    assert task.name in TASKS or task.name.partition(":")[0] in ("gymnasium", "randomised", "mjcf")


def test_the_same_seed_gives_the_same_episode_and_another_seed_another(task):
    where, u = np.arange(4) % task.conditions, actions(task, 4)
    first, second = play(task, u, where), play(make_task(task.name), u, where)
    again = play(task, u, where)
    for a, b, c in zip(first, second, again, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)
    other = play(task, u, where, seed=1)[0]
    if task.name not in FIXED:
        assert not np.array_equal(other[:, 0], first[0][:, 0])


def test_what_it_returned_does_not_change_when_it_goes_on(task):
    u = actions(task, 3)
    x0, o0, d0 = task.reset(np.zeros(3, int), np.random.default_rng(0)), task.observe(), task.done()
    x1, o1, d1 = task.step(u[:, 0]), task.observe(), task.done()
    kept = [a.copy() for a in (x0, o0, d0, x1, o1, d1, u)]
    for t in range(STEPS):
        task.step(u[:, t])
    for now, then in zip((x0, o0, d0, x1, o1, d1, u), kept, strict=True):
        assert np.array_equal(now, then)
    x0[:], o0[:] = 1e9, 1e9  # and writing into it does not reach the simulation
    assert np.abs(task.reset(np.zeros(3, int), np.random.default_rng(0))).max() < 1e6


def test_what_it_says_is_seen_in_a_state_is_what_is_seen_there(task):
    if capability(task, ObservationOf) is None:
        pytest.skip("it does not say so")
    x, o, done = play(task, actions(task, 3), np.zeros(3, int))
    close = (
        5e-3 if "reacher" in task.name else 1e-9
    )  # bodies lie where the last substep began to be worked out
    here = ~done
    np.testing.assert_allclose(task.observation_of(x)[here], o[here], atol=close)
    np.testing.assert_allclose(
        task.observation_of(x[0, 0]), task.observation_of(x)[0, 0], rtol=1e-14
    )


def test_an_episode_does_not_depend_on_its_companions(task):
    u, where = actions(task, 5), np.zeros(5, int)
    rng = np.random.default_rng(0)
    task.reset(where, rng)
    x = np.stack([task.step(u[:, t]) for t in range(STEPS)], 1)
    task.reset(where, np.random.default_rng(0))
    u[:4] = -u[:4]
    y = np.stack([task.step(u[:, t]) for t in range(STEPS)], 1)
    assert np.array_equal(x[4], y[4])
    assert not np.array_equal(x[:4], y[:4])


def test_a_divergence_is_seen_in_the_simulation_that_diverged_alone(task):
    task.reset(np.zeros(3, int), np.random.default_rng(0))
    u = np.zeros((3, task.du))
    u[1] = np.nan
    task.step(u)
    assert np.array_equal(task.done() & task.diverged, [False, True, False])
    task.reset(np.zeros(3, int), np.random.default_rng(0))
    assert not task.done().any()


def test_its_metrics_are_one_finite_number_per_episode_and_its_cost_one_per_step(task):
    T = task.horizon
    u = actions(task, 2, steps=T)
    episodes = run(task, lambda x, o, t: u[:, t], np.zeros(2, int), np.random.default_rng(0))
    assert episodes.cost.shape == (2, T + 1)
    for name, value in task.metrics(episodes.x, episodes.u).items():
        assert value.shape == (2,), name
        assert np.isfinite(value).all(), name
    assert not episodes.failed.any()


def test_the_expansion_of_its_cost_agrees_with_finite_differences(task):
    if task.name.startswith("gymnasium:"):
        pytest.skip("it is fitted to the rewards; tests of its own")
    rng, T, n = np.random.default_rng(3), task.horizon, task.dx + task.du
    x = play(task, actions(task, 1, steps=8), np.zeros(1, int))[0][0]
    X = np.repeat(x[4:5], T + 1, axis=0) + 0.1 * rng.standard_normal((T + 1, task.dx))
    U = 0.5 * actions(task, 1, steps=T)[0]
    C, c, const = (a[0] for a in task.cost.expand(X[None], U[None]))
    smooth = getattr(task.cost, "smooth", task.cost)
    xu = np.concatenate([X, np.vstack([U, np.zeros(task.du)])], 1)
    value = 0.5 * np.einsum("ti,tij,tj->t", xu, C, xu) + (c * xu).sum(-1) + const
    np.testing.assert_allclose(value, smooth(X[None], U[None])[0], atol=1e-9)
    np.testing.assert_allclose(
        value, task.cost(X[None], U[None])[0], atol=SMOOTHED.get(task.name, 5e-3)
    )
    h, E = 1e-4, np.eye(n)

    def at(d):
        return smooth((X + d[: task.dx])[None], (U + d[task.dx :])[None])[0]

    gradient = (C @ xu[..., None])[..., 0] + c
    for i in range(n):
        up, down = at(h * E[i]), at(-h * E[i])
        np.testing.assert_allclose(gradient[:, i], (up - down) / (2 * h), atol=1e-5, rtol=1e-4)
        np.testing.assert_allclose(
            C[:, i, i], (up + down - 2 * at(0 * E[i])) / h**2, atol=1e-4, rtol=1e-3
        )
    d = h * rng.standard_normal(n)  # the mixed derivatives, along one direction
    curvature = (at(d) + at(-d) - 2 * at(0 * d)) / (d @ d)
    np.testing.assert_allclose(
        np.einsum("i,tij,j->t", d, C, d) / (d @ d), curvature, atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("name", MIRRORS)
def test_whole_episodes_agree_with_gymnasium(name):
    env_id, settings = MIRRORS[name]
    task = make_task(name)
    assert task.env_id in (env_id, None)
    with gymnasium.make(env_id, **settings) as env:
        steps = min(task.horizon, 60)
        assert task.horizon == env.spec.max_episode_steps
        np.testing.assert_array_equal(env.action_space.low, task.action_low.astype(np.float32))
        np.testing.assert_array_equal(env.action_space.high, task.action_high.astype(np.float32))
        for seed in (0, 1):
            seen, _ = env.reset(seed=seed)
            data, u = env.unwrapped.data, actions(task, 1, seed, steps)
            x = [task.start(data.qpos.copy()[None], data.qvel.copy()[None])]
            np.testing.assert_allclose(task.observe()[0], seen, atol=1e-12)
            assert env.unwrapped.dt == pytest.approx(task.dt)
            total, length = 0.0, steps
            for t in range(steps):
                x.append(task.step(u[:, t]))
                seen, reward, terminated, _, _ = env.step(u[0, t])
                total += reward
                np.testing.assert_allclose(task.observe()[0], seen, atol=1e-9)
                assert bool(task.done()[0]) == terminated
                if terminated:
                    length = t + 1
                    break
            rest = task.horizon - length  # as a rollout does: the last state again, no action
            X = np.concatenate([np.stack(x, 1), np.repeat(x[-1][:, None], rest, axis=1)], 1)
            U = np.concatenate([u[:, :length], np.zeros((1, rest, task.du))], 1)
            if terminated:  # the double pendulum's tip is read a substep late
                late = 0.1 * length if name == "inverted_double_pendulum" else 1e-9
                assert task.metrics(X, U)["return"] == pytest.approx(total, abs=late)
            else:  # the cost of these steps alone
                cost = task.cost(X, U)[0]
                if not name.startswith("inverted"):  # theirs are not the reward alone
                    assert cost[:length].sum() + task.cost(X, 0 * U)[0, length] == pytest.approx(
                        -total, abs=1e-6
                    )


@pytest.mark.parametrize("name", [name for name in MIRRORS if name != "pusher"])
def test_it_starts_where_gymnasium_starts(name):
    task, (env_id, settings) = make_task(name), MIRRORS[name]
    task.reset(np.zeros(300, int), np.random.default_rng(0))
    ours = np.concatenate([task._sim.field("qpos"), task._sim.field("qvel")], 1)
    theirs = []
    with gymnasium.make(env_id, **settings) as env:
        for seed in range(300):
            env.reset(seed=seed)
            theirs.append(np.concatenate([env.unwrapped.data.qpos, env.unwrapped.data.qvel]))
    theirs = np.array(theirs)
    spread = theirs.std(0)
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=5 * spread.max() / np.sqrt(300))
    np.testing.assert_allclose(ours.std(0), spread, rtol=0.25)


def test_the_mountain_car_is_gymnasiums():
    task = make_task("mountain_car")
    with gymnasium.make("MountainCarContinuous-v0") as env:
        first, _ = env.reset(seed=0)
        task.start(first[None])
        force, total, ended = 1.0, 0.0, False
        for _ in range(400):  # always push the way it rolls
            seen, reward, ended, _, _ = env.step(np.array([force], np.float32))
            x = task.step(np.array([[force]]))
            np.testing.assert_allclose(
                x[0], seen, atol=1e-4
            )  # Gymnasium rounds its state to single precision
            total += reward
            force = 1.0 if seen[1] >= 0 else -1.0
            assert task.done()[0] == ended
            if ended:
                break
        assert ended
        assert total > 80


def test_the_acrobot_is_gymnasiums():
    task, rng = make_task("acrobot"), np.random.default_rng(0)
    with gymnasium.make("Acrobot-v1") as env:
        first, _ = env.reset(seed=0)
        task.start(env.unwrapped.state[None])
        np.testing.assert_allclose(task.observe()[0], first, atol=1e-6)
        for _ in range(60):
            action = int(rng.integers(3))
            seen, _, ended, _, _ = env.step(action)
            task.step(np.array([[action - 1.0]]))
            np.testing.assert_allclose(task.observe()[0], seen, atol=1e-5)
            if ended:
                break


def energy_of_pendulum(s):
    return 0.5 * s[..., 1] ** 2 / 3 - 0.5 * 9.82 * np.cos(s[..., 0])


def energy_of_cartpole(s):
    """Returns kinetic and potential energy of the cart and of the pole, whose middle is 0.25 m from
    the pivot.
    """
    middle = np.stack(
        [s[..., 1] + 0.25 * np.cos(s[..., 2]) * s[..., 3], 0.25 * np.sin(s[..., 2]) * s[..., 3]], -1
    )
    kinetic = (
        0.25 * s[..., 1] ** 2
        + 0.25 * (middle**2).sum(-1)
        + 0.5 * (0.5 * 0.5**2 / 12) * s[..., 3] ** 2
    )
    return kinetic - 0.5 * 9.82 * 0.25 * np.cos(s[..., 2])


@pytest.mark.parametrize(
    ("name", "energy"), [("pendulum", energy_of_pendulum), ("cartpole", energy_of_cartpole)]
)
def test_force_and_friction_alone_change_the_energy_of_a_swing_up(name, energy):
    task, rng = make_task(name), np.random.default_rng(0)
    d = 2 if name == "pendulum" else 4
    s, u = rng.normal(size=(50, d)), task.action_high * rng.uniform(-1, 1, size=(50, 1))
    moving = s[
        ..., 1
    ]  # of what is pushed and rubs: the joint of the pendulum, the cart of the cart-pole
    friction = 0.01 if name == "pendulum" else 0.1
    rate = task.derivative(s, u)
    change = (energy(s + 1e-6 * rate) - energy(s - 1e-6 * rate)) / 2e-6
    np.testing.assert_allclose(change, (u[:, 0] - friction * moving) * moving, atol=1e-6)


def test_the_swing_ups_integrate_to_many_digits():
    for name in ("pendulum", "cartpole"):
        task, fine = make_task(name), make_task(name)
        fine.substeps = 100
        u = actions(task, 3, steps=40)
        start = np.random.default_rng(0).normal(size=(3, 2 if name == "pendulum" else 4))
        task.start(start), fine.start(start)
        for t in range(40):
            x, y = task.step(u[:, t]), fine.step(u[:, t])
        np.testing.assert_allclose(x, y, atol=2e-3)


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(
        InputError,
        match=r"unknown task 'recher'; expected gymnasium:ENV_ID, mjcf:FILE, randomised:NAME or one of reacher, .*ant",
    ):
        make_task("recher")


@pytest.mark.parametrize("name", ["pendulum", "hopper", "pusher"])
def test_no_conditions_at_all_are_refused(name):
    with pytest.raises(InputError, match="conditions is 0"):
        make_task(name, conditions=0)


def test_local_controllers_run_in_every_task(task):
    from agents.rollout import rollout

    T, C = task.horizon, task.conditions
    if T > 100:
        pytest.skip("long; the short ones show it")
    K = np.zeros((C, T, task.du, task.dx))
    cov = np.tile(0.01 * np.eye(task.du), (C, T, 1, 1))
    episodes = rollout(
        task, LinearGaussianController(K, K[..., 0], cov), np.arange(C), 2, np.random.default_rng(0)
    )
    assert episodes.x.shape == (2 * C, T + 1, task.dx)
    assert (episodes.length == T).all()


def in_the_hole(task):
    """Returns joint angles with which the peg is in each hole, (C, 7), by inverse kinematics."""
    C, (low, high) = task.conditions, task.model.jnt_range.T
    rest = task.reset(np.arange(C), np.random.default_rng(0))[0, :7]

    def miss(q, c):
        task.start(q[None], np.zeros((1, 7)), task.offsets[[c]])
        return task.gap()[0]

    return np.stack([least_squares(miss, rest, args=(c,), bounds=(low, high)).x for c in range(C)])


@pytest.mark.parametrize(("name", "holes"), [("peg", 4), ("peg_nine", 9), ("peg_blind", 4)])
def test_the_peg_starts_above_its_holes_and_fits_into_each(name, holes):
    task = make_task(name)
    assert task.conditions == holes
    rest = task.reset(np.arange(holes), np.random.default_rng(0))
    assert (rest[:, 16] > 0.09 + 0.02).all()  # m, the tip over the rim
    np.testing.assert_allclose(rest[:, 14:16] - rest[:, 14:16].mean(0), -task.offsets, atol=1e-12)
    q = in_the_hole(task)
    x = task.start(q, np.zeros_like(q), task.offsets)
    np.testing.assert_allclose(x[:, 14:20], 0.0, atol=1e-5)
    for c in range(holes):
        assert (
            task._sim.data(c).contact.dist > -1e-3
        ).all()  # m: nothing is inside of something else


def test_the_walls_of_the_hole_hold_the_peg():
    task = make_task("peg")
    q, u = in_the_hole(task), np.zeros((4, 7))
    u[:, 0] = 0.05  # of 20 Nm, about the vertical
    ways = []
    for away in (0.0, 0.4):  # m, of the block
        first = task.start(q, np.zeros_like(q), task.offsets + away)
        for _ in range(15):
            last = task.step(u)
        ways.append(np.linalg.norm((last - first)[:, 14:17], axis=1))
    assert ways[0].max() < 0.05
    assert (ways[0] < 0.4 * ways[1]).all()


def test_the_blind_policy_sees_no_hole():
    task = make_task("peg_blind")
    task.reset(np.arange(4), np.random.default_rng(0))
    o = task.observe()
    assert np.array_equal(o, np.tile(o[0], (4, 1)))


def test_a_hole_out_of_reach_is_refused():
    with pytest.raises(InputError, match=r"offsets are .*expected pairs of metres within 0.2"):
        make_task("peg", offsets=[[0.5, 0.0]])


def test_the_models_are_packed_with_the_package():
    root = Path(__file__).resolve().parents[2]
    setuptools = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    packed = set()
    for package, globs in setuptools["package-data"].items():
        packed |= {
            path for pattern in globs for path in (root / package.replace(".", "/")).glob(pattern)
        }
    assert {*(root / "agents").rglob("*.xml"), *(root / "dynamics").rglob("*.xml")} <= packed
    assert root / "agents/tasks/models/peg.xml" in packed


def test_the_tip_of_the_double_pendulum_is_where_the_simulator_has_it():
    from agents.tasks.mujoco.inverted import tip

    task, rng = make_task("inverted_double_pendulum"), np.random.default_rng(0)
    x = task.start(rng.normal(size=(20, 3)), np.zeros((20, 3)))
    side, height = tip(x)
    np.testing.assert_allclose(
        np.stack([side, height], 1), task._sim.field("site_xpos")[:, 0, [0, 2]], atol=1e-9
    )
    X = np.repeat(x[:1, None], 1001, axis=1)
    u = np.zeros((1, 1000, 1))
    expected = 0.01 * side[0] ** 2 + (height[0] - 2) ** 2 - 10
    np.testing.assert_allclose(task.cost(X, u)[0, 1:], expected, atol=1e-9)


def test_a_pusher_tells_fine_tuning_of_a_heavier_distance_and_is_judged_by_its_own_cost():
    from agents.tasks.costs.user_cost import WithCost
    from agents.tasks.mujoco.pusher import Pusher

    plain, heavy = (Pusher(conditions=2, horizon=6, weight=weight) for weight in (1.0, 4.0))
    rng = np.random.default_rng
    x, u = rng(0).normal(size=(3, 7, 24)), rng(1).normal(size=(3, 6, 7))
    np.testing.assert_array_equal(heavy.cost(x, u), plain.cost(x, u))
    more = 3.0 * np.linalg.norm(x[:, 1:, 21:], axis=-1)
    np.testing.assert_allclose((heavy.tuning_cost(x, u) - heavy.cost(x, u))[:, 1:], more, rtol=1e-9)
    assert WithCost(heavy, plain.cost).tuning_cost is None
