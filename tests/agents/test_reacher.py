"""The reacher tasks against Gymnasium itself, finite differences, and the definition of the
comparison task.
"""

import gymnasium
import numpy as np
import pytest
from scipy.stats import kstest

from agents.rollout import rollout, run
from agents.tasks.mujoco.reacher import (
    FOUR_ANGLES,
    FOUR_TARGETS,
    Reacher,
    ReacherFour,
    sample_layout,
)
from gps.steps.local_data import by_condition, transitions
from gps.steps.local_models import expand_cost, fit_dynamics
from lqr import InputError, LinearGaussianController, SimulationError


@pytest.fixture(scope="module")
def env():
    with gymnasium.make("Reacher-v5") as env:
        yield env


def start_at(task, seeds, env):
    """Starts our simulations where Gymnasium's resets with these seeds begin; returns those qpos,
    qvel and o.
    """
    places = []
    for seed in seeds:
        o, _ = env.reset(seed=int(seed))
        data = env.unwrapped.data
        places.append((data.qpos.copy(), data.qvel.copy(), o))
    qpos, qvel, o = (np.array(a) for a in zip(*places, strict=True))
    return task.start(qpos[:, :2], qvel[:, :2], qpos[:, 2:]), o


@pytest.mark.parametrize(("batch", "resets"), [(1, 6), (3, 6), (25, 25)])
def test_whole_episodes_agree_with_gymnasium_in_observation_state_and_reward(env, batch, resets):
    task, rng = Reacher(conditions=1), np.random.default_rng(batch)
    for seeds in np.arange(resets).reshape(-1, batch):
        x0, first = start_at(task, seeds, env)
        actions = rng.uniform(-1.5, 1.5, size=(batch, 50, 2))  # a third of them out of range
        x, o = [x0], [task.observe()]
        for t in range(50):
            x.append(task.step(np.clip(actions[:, t], -1, 1)))
            o.append(task.observe())
        x, o, u = np.stack(x, 1), np.stack(o, 1), np.clip(actions, -1, 1)
        np.testing.assert_allclose(o[:, 0], first, atol=1e-12)
        motion, effort = task.cost(x, np.zeros_like(u)), task.cost(np.zeros_like(x), u)
        for i, seed in enumerate(seeds):
            env.reset(seed=int(seed))
            total = 0.0
            for t in range(50):
                seen, reward, terminated, truncated, _ = env.step(u[i, t])
                data = env.unwrapped.data
                state = np.concatenate([data.qpos[:2], data.qvel[:2], seen[8:]])
                np.testing.assert_allclose(o[i, t + 1], seen, atol=1e-10)
                np.testing.assert_allclose(x[i, t + 1], state, atol=1e-10)
                assert motion[i, t + 1] + effort[i, t] == pytest.approx(-reward, abs=1e-10)
                total += reward
            assert (terminated, truncated) == (False, True)
            assert task.cost(x, u)[i].sum() == pytest.approx(-total, abs=1e-10)


def test_a_rollout_clips_as_gymnasiums_simulator_does(env):
    task = Reacher(conditions=1)
    start_at(task, [5], env)
    wild = np.random.default_rng(0).normal(scale=2, size=(50, 2))
    task.reset = lambda conditions, rng: start_at(task, [5], env)[0]
    episode = run(task, lambda x, o, t: wild[None, t], np.zeros(1, int), np.random.default_rng(0))
    env.reset(seed=5)
    for t in range(50):
        seen = env.step(wild[t])[0]  # MuJoCo clamps the control to its range
        np.testing.assert_allclose(episode.o[0, t + 1], seen, atol=1e-10)
    assert np.array_equal(episode.u[0], np.clip(wild, -1, 1))


def test_the_layout_is_drawn_from_gymnasiums_reset_distribution(env):
    angles, targets = sample_layout(4000, np.random.default_rng(0))
    assert angles.shape == targets.shape == (4000, 2)
    assert np.linalg.norm(targets, axis=1).max() < 0.2
    # uniform in the disc: the squared radius and the direction are uniform; angles are uniform in
    # the square
    radius = (targets**2).sum(1) / 0.04
    direction = np.arctan2(targets[:, 1], targets[:, 0]) / (2 * np.pi) + 0.5
    for sample in (radius, direction, *((angles.T + 0.1) / 0.2)):
        assert kstest(sample, "uniform").pvalue > 1e-3
    theirs = []
    for seed in range(400):
        env.reset(seed=seed)
        theirs.append(np.concatenate([env.unwrapped.data.qpos, env.unwrapped.data.qvel[:2]]))
    theirs = np.array(theirs)
    speeds = np.array([Reacher(1).reset(np.zeros(400, int), np.random.default_rng(1))[:, 2:4]])[0]
    for ours, other in zip((*angles.T, *targets.T, *speeds.T), theirs.T, strict=True):
        assert kstest(ours, other).pvalue > 1e-3
        assert np.abs(ours).max() <= np.abs(other).max() * 1.05


def test_every_reset_of_a_condition_has_its_target_and_its_own_speeds():
    task, rng = Reacher(conditions=5), np.random.default_rng(0)
    where = np.array([3, 3, 0, 4])
    x = task.reset(where, rng)
    assert np.array_equal(task.observe()[:, 4:6], task.targets[where])
    assert np.array_equal(x[:, :2], task.angles[where])
    assert len(np.unique(x[:, 2:4])) == 8
    assert np.abs(x[:, 2:4]).max() <= 0.005


@pytest.mark.parametrize("count", [10, 40, 200])
def test_covering_targets_leave_no_hole_in_the_disc(count):
    """No place is farther from a target than 1.9 radii of the circle that has its share of the
    disc; of as many random ones it is.
    """
    side = np.linspace(-0.2, 0.2, 101)
    places = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    places = places[np.linalg.norm(places, axis=1) < 0.2]

    def hole(targets):
        return np.linalg.norm(places[:, None] - targets, axis=-1).min(1).max()

    even, random = (Reacher(count, covering=covering).targets for covering in (True, False))
    assert np.linalg.norm(even, axis=1).max() < 0.2
    assert hole(even) < 1.9 * 0.2 / np.sqrt(count) < hole(random)
    other = Reacher(count, layout_seed=1, covering=True).targets
    assert not np.allclose(other, even)  # turned


def test_the_layout_belongs_to_its_seed():
    a, b, c = Reacher(4), Reacher(4), Reacher(4, layout_seed=1)
    assert np.array_equal(a.targets, b.targets)
    assert not np.isin(a.targets, c.targets).any()


def test_an_episode_does_not_depend_on_its_companions():
    u = np.random.default_rng(0).uniform(-1, 1, size=(25, 50, 2))
    angles, targets = sample_layout(25, np.random.default_rng(1))

    def play(rows):
        task = Reacher(1)
        x = [task.start(angles[rows], np.zeros((len(angles[rows]), 2)), targets[rows])]
        for t in range(50):
            x.append(task.step(u[rows, t]))
        return np.stack(x, 1)

    together = play(slice(None))
    assert np.array_equal(together, play(slice(None)))
    for rows in (slice(0, 1), slice(3, 6), slice(24, 25)):
        assert np.array_equal(play(rows), together[rows])


def test_a_batch_can_be_started_again_at_another_size_and_forgets_the_past():
    task = Reacher(conditions=7)
    fresh = Reacher(conditions=7).reset(np.arange(7), np.random.default_rng(3))
    task.reset(np.arange(7), np.random.default_rng(0))
    task.step(np.ones((7, 2)))
    task.reset(np.arange(2), np.random.default_rng(1))
    task.step(-np.ones((2, 2)))
    assert np.array_equal(task.reset(np.arange(7), np.random.default_rng(3)), fresh)


def test_what_was_returned_does_not_change_when_the_simulation_goes_on():
    task = Reacher(conditions=3)
    x0 = task.reset(np.arange(3), np.random.default_rng(0))
    o0 = task.observe()
    x1 = task.step(np.ones((3, 2)))
    kept = [a.copy() for a in (x0, o0, x1)]
    done = task.done()
    before = done.copy()
    for _ in range(5):
        task.step(np.full((3, 2), -1.0))
    task.step(np.full((3, 2), np.nan))
    for now, then in zip((x0, o0, x1), kept, strict=True):
        assert np.array_equal(now, then)
    assert np.array_equal(done, before)


def test_reacher_four_is_the_comparison_task():
    task = ReacherFour()
    table = [
        (0.05, -0.05, 0.10, 0.11),
        (-0.05, 0.05, -0.11, 0.10),
        (0.08, 0.02, -0.09, -0.12),
        (0, 0, 0.12, -0.09),
    ]
    assert np.array_equal(np.hstack([FOUR_ANGLES, FOUR_TARGETS]), np.array(table))
    assert (task.horizon, task.dt, task.conditions, task.name) == (50, 0.02, 4, "reacher_four")
    x = task.reset(np.arange(4), np.random.default_rng(0))
    assert np.array_equal(np.hstack([x[:, :2], task.observe()[:, 4:6]]), np.array(table))
    assert (x[:, 2:4] == 0).all()
    place = [
        np.array([0.1 * np.cos(a) + 0.11 * np.cos(a + b), 0.1 * np.sin(a) + 0.11 * np.sin(a + b)])
        for a, b in FOUR_ANGLES
    ]
    np.testing.assert_allclose(
        x[:, 4:], np.array(place) - FOUR_TARGETS, atol=1e-12
    )  # links of 0.1 and 0.11 m
    rng = np.random.default_rng(0)
    X, U = rng.normal(size=(3, 51, 6)), rng.normal(size=(3, 50, 2))
    steps = np.sqrt(1e-5 + (X[:, :50, 4:] ** 2).sum(-1)) + 0.1 * (U**2).sum(-1)
    np.testing.assert_allclose(task.cost(X, U).sum(-1), steps.sum(-1), rtol=1e-12)
    np.testing.assert_allclose(task.cost(X, U)[:, :50], steps, rtol=1e-12)


def numeric(cost, X, U, h=1e-4):
    """Returns the gradient (T+1, n) and Hessian (T+1, n, n) of each step's cost by central
    differences in x_t, u_t.
    """
    T, dx, n = len(U), X.shape[1], X.shape[1] + U.shape[1]

    def at(d):
        x, u = X + d[:dx], U + d[dx:]
        return cost(x[None], u[None])[0]

    E = h * np.eye(n)
    g = np.stack([(at(e) - at(-e)) / (2 * h) for e in E], -1)
    H = np.array(
        [[(at(a + b) - at(a - b) - at(b - a) + at(-a - b)) / (4 * h * h) for b in E] for a in E]
    )
    assert g.shape == (T + 1, n)
    return g, H.transpose(2, 0, 1)


@pytest.mark.parametrize("make", [lambda: Reacher(2), ReacherFour])
def test_the_expansion_of_the_cost_agrees_with_finite_differences(make):
    task, rng = make(), np.random.default_rng(0)
    X, U = 0.3 * rng.normal(size=(51, 6)), rng.normal(size=(50, 2))
    smooth = getattr(task.cost, "smooth", task.cost)
    g, H = numeric(smooth, X, U)
    C, c, const = (a[0] for a in task.cost.expand(X[None], U[None]))
    xu = np.concatenate([X, np.vstack([U, np.zeros(2)])], 1)
    np.testing.assert_allclose((C @ xu[..., None])[..., 0] + c, g, atol=2e-4)
    np.testing.assert_allclose(C, H, atol=2e-3, rtol=1e-3)
    value = 0.5 * np.einsum("ti,tij,tj->t", xu, C, xu) + (c * xu).sum(-1) + const
    np.testing.assert_allclose(value, smooth(X[None], U[None])[0], atol=1e-12)
    np.testing.assert_allclose(
        value, task.cost(X[None], U[None])[0], atol=2e-3
    )  # the smooth cost is near the exact


def zeros(C, T=50, dx=6, du=2, std=0.1):
    return LinearGaussianController(
        np.zeros((C, T, du, dx)), np.zeros((C, T, du)), np.tile(std**2 * np.eye(du), (C, T, 1, 1))
    )


class Poisoned(Reacher):
    """A reacher whose simulation 1 gets an impossible velocity at step 3."""

    def step(self, u):
        self.steps += 1
        if self.steps == 3:
            self._sim.field("qvel")[1, 0] = 1e11
        return super().step(u)

    def reset(self, conditions, rng):
        self.steps = 0
        return super().reset(conditions, rng)


def test_a_divergence_is_seen_marked_and_kept_out_of_everything_that_is_learned():
    task = Poisoned(conditions=3)
    episodes = rollout(task, zeros(3), np.arange(3), 2, np.random.default_rng(0))
    assert np.array_equal(episodes.failed, [False, True, False, False, False, False])
    assert episodes.length[1] == 3
    assert (episodes.length[[0, 2, 3, 4, 5]] == 50).all()
    local = by_condition(episodes, zeros(3), np.ones(3))
    assert (local.used[0, 1] == 0).all()
    assert local.cost[0] == pytest.approx(episodes.cost[0].sum())
    assert len(transitions(local)[0]) == 5 * 50
    poison = local._replace(x=local.x.copy(), u=local.u.copy())
    poison.x[0, 1], poison.u[0, 1] = 1e6, -1e6
    from dynamics import make_prior

    priors = [make_prior("gmm") for _ in range(2)]
    fits = []
    for prior, data in zip(priors, (local, poison), strict=True):
        prior.update(*transitions(data))
        fits.append(fit_dynamics(data, prior))
    for a, b in zip(fits[0].dynamics, fits[1].dynamics, strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(expand_cost(task.cost, local), expand_cost(task.cost, poison), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_a_huge_velocity_at_the_start_ends_all_episodes_with_one_clear_error():
    class Huge(Reacher):
        def step(self, u):
            self._sim.field("qvel")[:, 0] = 1e11
            return super().step(u)

    with pytest.raises(SimulationError, match="all 2 episodes diverged in reacher"):
        rollout(Huge(2), zeros(2), np.arange(2), 1, np.random.default_rng(0))


def test_an_action_that_is_no_number_is_refused_before_it_reaches_the_simulator():
    task = Reacher(2)
    with pytest.raises(SimulationError, match="action of episode 1 at step 4 is"):
        run(
            task,
            lambda x, o, t: np.array([[0.0, 0.0], [0.0, np.nan if t == 4 else 0.0]]),
            np.arange(2),
            np.random.default_rng(0),
        )
    task.reset(np.arange(2), np.random.default_rng(0))
    task.step(np.array([[0.1, 0.1], [np.nan, 0.0]]))
    assert np.array_equal(task.done(), [False, True])


def test_no_divergence_is_reported_of_a_new_batch_after_one_that_diverged():
    task = Reacher(2)
    task.reset(np.arange(2), np.random.default_rng(0))
    task.step(np.full((2, 2), np.nan))
    assert task.done().all()
    task.reset(np.arange(2), np.random.default_rng(0))
    assert not task.done().any()
    task.step(np.zeros((2, 2)))
    assert not task.done().any()


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (lambda X, U: np.zeros(X.shape[0]), r"shape \(2,\)"),
        (lambda X, U: np.zeros(U.shape[:2]), r"shape \(2, 50\).*expected \(2, 51\)"),
        (lambda X, U: np.full(X.shape[:2], np.nan), "cost of reacher is nan"),
        (
            lambda X, U: np.where(np.arange(51) == 7, np.inf, X[..., 0]),
            r"is inf at \(episode, step\) \(0, 7\)",
        ),
        (lambda X, U: np.zeros(X.shape[:2], complex), "complex"),
        (lambda X, U: None, "object"),
    ],
)
def test_a_cost_of_a_wrong_shape_type_or_value_is_named(cost, words):
    task = Reacher(2)
    task.cost = cost
    with pytest.raises(InputError, match=words):
        rollout(task, zeros(2), np.arange(2), 1, np.random.default_rng(0))


@pytest.mark.parametrize("count", [0, -3])
def test_no_conditions_at_all_are_refused(count):
    with pytest.raises(InputError, match=f"conditions is {count}"):
        Reacher(conditions=count)


def test_the_metric_is_the_final_distance():
    x = np.zeros((2, 51, 6))
    x[:, -1, 4:] = [[3.0, 4.0], [0.0, 1.0]]
    assert np.array_equal(Reacher(1).metrics(x, np.zeros((2, 50, 2)))["distance"], [5.0, 1.0])


def test_the_exact_cost_is_zero_on_the_target_without_complaint():
    assert (np.abs(Reacher(1).cost(np.zeros((1, 51, 6)), np.zeros((1, 50, 2)))) < 1e-15).all()
