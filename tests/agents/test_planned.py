"""The planning methods: closed loop against LQR, goals exchanged at test time, and the same
contract for every page.
"""

import dataclasses
from importlib import import_module

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from agents import load_policy, save_policy
from agents.interfaces import EpisodeDiscarded
from agents.mpc import mpc as mpc_method
from agents.mpc.steps.loop import make_model, particles_of
from agents.mpc.steps.policy import MPC
from agents.mpc.steps.saving import TaskMPC
from agents.planners import (
    CEM,
    CMAES,
    ICEM,
    ILQR,
    MPPI,
    PLANNERS,
    Gradient,
    Objective,
    RandomShooting,
    RewardWeighted,
)
from agents.planners.models import LearnedModel, SimulatorModel
from agents.rollout import rollout
from agents.tasks import make_task
from agents.tasks.base.ode_task import MapTask
from agents.tasks.costs.user_cost import WithCost
from dynamics import Network
from dynamics.storage.tree import load_tree, save_tree
from lqr import InputError, Quadratic, WeightedNorm

SMALL = {  # a method and a planner, or none: the method's own
    "pets": ("pets", CEM(10, 6, 10)),
    "pddm": ("pddm", RewardWeighted(10, iterations=10)),
    "open_loop": ("open_loop", CEM(10, 6, 10)),
    "mpc, random": ("mpc", RandomShooting(10)),
    "mpc, cem": ("mpc", CEM(10, 6, 10)),
    "mpc, icem": ("mpc", ICEM(10, 5, 10)),
    "mpc, mppi": ("mpc", MPPI(10, temperature=0.3, iterations=10)),
    "mpc, reward_weighted": ("mpc", RewardWeighted(10)),
    "mpc, cma": ("mpc", CMAES(10)),
    "mpc, gradient": ("mpc", Gradient(iterations=10, search_samples=10)),
    "mpc, ilqr": ("mpc", ILQR(iterations=10)),
}
SMALL |= {
    f"mpc, {word}": ("mpc", kind())
    for word, kind in PLANNERS.items()
    if kind not in {type(planner) for _, planner in SMALL.values()}
}  # one that is new, with its defaults


class Cart(MapTask):
    """x = [place, speed] of a pushed point, a linear world."""

    name, dt, horizon = "cart", 0.2, 15
    dx, du, do = 2, 1, 2
    action_low, action_high = np.array([-2.0]), np.array([2.0])
    cost = Quadratic(np.diag([2.0, 0.2, 0.1]))

    def starts(self, conditions, rng):
        return np.array([1.0, 0.0]) + 0.1 * rng.standard_normal((len(conditions), 2))

    def advance(self, s, u):
        return np.stack([s[..., 0] + self.dt * s[..., 1], s[..., 1] + self.dt * u[..., 0]], -1)

    def states(self, s):
        return s.copy()

    see = states

    def metrics(self, x, u):
        return {"distance": np.abs(x[:, -1, 0])}


def mpc(task, planner, horizon=15, **settings):
    return MPC(
        SimulatorModel(task),
        planner,
        task.cost,
        horizon,
        steps=task.horizon,
        low=task.action_low,
        high=task.action_high,
        **settings,
    )


# closed loop


def test_in_a_linear_task_the_closed_loop_costs_what_lqr_does():
    task = Cart()
    task.action_low, task.action_high = (
        np.array([-10.0]),
        np.array([10.0]),
    )  # the optimum touches no limit
    for planner in (CEM(100, 10, 8), ILQR(1, 5)):
        x = rollout(task, mpc(task, planner), np.zeros(1, int), 1, np.random.default_rng(0))
        T = task.horizon
        V, A, B = 2.0 * np.diag([1.0, 0.1]), np.array([[1, 0.2], [0, 1]]), np.array([[0.0], [0.2]])
        Q, R = np.diag([2.0, 0.2]), np.array([[0.1]])
        for _ in range(T):  # the Riccati recursion, written out
            K = np.linalg.solve(R + B.T @ V @ B, B.T @ V @ A)
            V = Q + A.T @ V @ (A - B @ K)
        assert x.cost.sum() == pytest.approx(0.5 * x.x[0, 0] @ V @ x.x[0, 0], rel=0.01)


def test_with_the_cost_to_go_a_short_horizon_is_as_good_as_an_endless_one():
    task = Cart()
    task.horizon, task.action_low, task.action_high = 60, np.array([-10.0]), np.array([10.0])
    A = np.array([[1, 0.2], [0, 1]])
    B = np.array([[0.0], [0.2]])
    Q = np.diag([2.0, 0.2])
    R = np.array([[0.1]])
    V = solve_discrete_are(A, B, Q, R)
    beyond = V - Q  # the state at the horizon's end is priced already
    short = mpc(task, CEM(100, 10, 8), 2)
    helped = mpc(
        task, CEM(100, 10, 8), 2, value=lambda x: 0.5 * np.einsum("...i,ij,...j->...", x, beyond, x)
    )
    alone, better = (
        rollout(task, p, np.zeros(1, int), 1, np.random.default_rng(0)) for p in (short, helped)
    )
    assert better.cost.sum() == pytest.approx(0.5 * better.x[0, 0] @ V @ better.x[0, 0], rel=0.01)
    assert better.cost.sum() < 0.9 * alone.cost.sum()


def test_the_goal_is_exchanged_at_test_time_and_a_trajectory_is_followed():
    task, rng = Cart(), np.random.default_rng(0)
    task.horizon = 60
    model = Network(steps=200)
    x, u = rng.uniform(-2, 2, size=(300, 2)), rng.uniform(-2, 2, size=(300, 1))
    model.fit(x, u, task.advance(x, u), rng)  # learned once, with no goal in mind
    policy = mpc(task, CEM(100, 10, 4), 12)
    policy.model = LearnedModel(model)
    first = rollout(task, policy, np.zeros(1, int), 1, rng)
    assert np.abs(first.x[0, -10:, 0]).max() < 0.1
    target = np.zeros((61, 2))
    target[:, 0] = np.sin(0.12 * np.arange(61))
    target[:, 1] = 0.12 / 0.2 * np.cos(0.12 * np.arange(61))
    policy.cost = WeightedNorm([1.0, 0.1], target=target)
    followed = rollout(task, policy, np.zeros(1, int), 1, rng)
    assert np.abs(followed.x[0, 15:, 0] - target[15:, 0]).max() < 0.12
    policy.value = lambda x: 100.0 * (x[..., 0] - 3) ** 2  # of the old goal
    other = policy.with_cost(WeightedNorm([1.0, 0.1], target=[-1.0, 0.0]))
    there = rollout(task, other, np.zeros(1, int), 1, rng)
    assert np.abs(there.x[0, -10:, 0] + 1).max() < 0.1
    assert policy.value is not None  # the planner that was asked keeps its goal
    assert other.calls == task.horizon * 12 * 400 - 400 * 66  # none beyond the end, of 12 ahead


def test_a_pole_that_only_full_pushes_hold_stays_up_in_the_true_model():
    """Means come to lie at the limits there; a planner that no longer searches around them lets the
    pole fall.
    """
    task = make_task("mbbl_cartpole")
    episode = rollout(
        task, mpc(task, CEM(100, 10, 4), 30), np.zeros(1, int), 1, np.random.default_rng(0)
    )
    assert (
        task.metrics(episode.x, episode.u)["return"][0] > 195.0
    )  # of 201; 87 where draws shrink at the limits


def test_plans_are_shifted_from_step_to_step_and_forgotten_at_a_start():
    task, starts = Cart(), []

    def planner(objective, start, low, high, rng):
        starts.append(start)
        return CEM(20, 5, 2)(objective, start, low, high, rng)

    policy = mpc(task, planner, 5)
    for t in (0, 1, 2, 0):
        policy.sample(np.ones((2, 2)), t, np.random.default_rng(0))
    assert [len(s) for s in starts] == [0, 0, 1, 1, 1, 1, 0, 0]
    kept = policy.plans[0].warm_starts
    policy.sample(np.ones((2, 2)), 1, np.random.default_rng(0))
    np.testing.assert_array_equal(starts[8][0, :-1], kept[0, 1:])
    np.testing.assert_array_equal(starts[8][0, -1], [0.0])


def test_model_calls_are_counted_per_environment_step():
    task = Cart()
    policy = mpc(task, CEM(30, 5, 4), 6)
    rollout(task, policy, np.zeros(2, int), 1, np.random.default_rng(0))
    inside = sum(
        min(6, task.horizon - t) for t in range(task.horizon)
    )  # the last plans end with the episode
    assert policy.calls == 2 * 30 * 4 * inside
    assert policy.acts == 2 * task.horizon


def test_without_planning_anew_the_first_plan_is_carried_out():
    task = Cart()
    policy = mpc(task, RandomShooting(50), 15, replan_every=15)
    x = rollout(task, policy, np.zeros(1, int), 1, np.random.default_rng(0))
    np.testing.assert_array_equal(x.u[0], policy.plans[0].U)
    assert policy.calls == 50 * 15


def test_act_and_predict_are_sample_one_state_at_a_time():
    task = Cart()
    x = task.reset(np.zeros(1, int), np.random.default_rng(0))
    a, b, c = (mpc(task, CEM(20, 5, 2), 5) for _ in range(3))
    state = None
    for t in range(4):
        u = a.sample(x, t, None)
        np.testing.assert_array_equal(b.act(x[0]), u[0])
        found, state = c.predict(x[0], state, episode_start=np.array([t == 0]))
        np.testing.assert_allclose(found, u[0], rtol=1e-6)
        x = task.step(u)


def test_each_row_of_predict_acts_as_if_it_were_alone_whenever_its_episode_begins():
    task, rng = Cart(), np.random.default_rng(0)
    x = rng.normal(size=(7, 3, 2))
    starts = np.zeros((7, 3), bool)
    starts[0], starts[2, 1], starts[5, 2] = True, True, True
    for every in (1, 2):
        together = mpc(task, CEM(10, 5, 2), 5, replan_every=every)
        state, found = None, []
        for t in range(7):
            u, state = together.predict(x[t], state, starts[t])
            found.append(u)
        for row in range(3):
            alone = mpc(task, CEM(10, 5, 2), 5, replan_every=every)
            for t in range(7):
                if starts[t, row]:
                    alone.reset()
                    clock = 0
                u = alone.sample(x[t, row][None], clock, None)[0]
                clock += 1
                np.testing.assert_allclose(found[t][row], u, rtol=1e-6)
    with pytest.raises(InputError, match="got 3 episodes before and 2 states"):
        together.predict(x[0, :2], state)


def test_what_predict_was_handed_before_stays_as_it_was():
    task = Cart()
    policy, x = mpc(task, CEM(10, 5, 2), 5), np.ones(2)
    _, first = policy.predict(x)
    one, _ = policy.predict(x, first)
    two, _ = policy.predict(x, first)
    np.testing.assert_array_equal(one, two)


def test_a_state_that_is_not_finite_is_refused_by_name():
    policy = mpc(Cart(), CEM(10, 5, 2), 5)
    for ask in (policy.act, policy.predict):
        with pytest.raises(InputError, match="state x has numbers that are not finite, at index 1"):
            ask(np.array([0.0, np.nan]))


# every page


def config(word, **settings):
    name, planner = SMALL[word]
    method = import_module(f"agents.mpc.{name}")
    small = {"iterations": 3, "hidden": (8,), "fit_steps": 20, "horizon": 5, "planner": planner}
    return method, method.Config(**small | settings)


@pytest.fixture(params=SMALL)
def word(request):
    if "cma" in request.param:
        pytest.importorskip("cmaes")
    return request.param


def test_every_planner_of_the_table_is_tried_here():
    assert {type(planner) for _, planner in SMALL.values()} == set(PLANNERS.values())


def test_a_run_resumes_to_the_same_bits_and_its_rows_have_the_same_keys(word, tmp_path):
    method, settings = config(word)
    rng, whole = np.random.default_rng(3), []
    for row in method.train(make_task("pendulum"), settings, rng):
        whole.append(row)
        if row.number == 2:
            save_tree(tmp_path / "state", row.state, {})
            drawn = rng.bit_generator.state
    rng.bit_generator.state = drawn
    state = load_tree(tmp_path / "state")[0]
    rest = list(method.train(make_task("pendulum"), settings, rng, state=state))
    assert [i.number for i in rest] == [3]
    assert whole[2].scalars == rest[0].scalars
    np.testing.assert_array_equal(whole[2].arrays["x"], rest[0].arrays["x"])
    assert len({tuple(i.scalars) for i in whole}) == 1
    assert whole[0].scalars["model_calls"] == 0.0
    assert whole[1].scalars["model_calls"] > 0.0
    assert whole[2].scalars["best_cost"] == min(i.arrays["cost"].min() for i in whole)


def test_its_policy_can_be_saved_and_acts_the_same(word, tmp_path):
    method, settings = config(word, iterations=2)
    last = list(method.train(make_task("pendulum"), settings, np.random.default_rng(0)))[-1]
    save_policy(tmp_path / "policy", last.policy)
    again = load_policy(tmp_path / "policy")
    x = np.array([0.3, -0.2])
    last.policy.reset()
    np.testing.assert_array_equal(again.act(x), last.policy.act(x))


def test_it_plans_in_the_true_simulator_too(word):
    method, settings = config(word, model="simulator", iterations=1)
    row = next(method.train(make_task("pendulum"), settings, np.random.default_rng(0)))
    assert row.scalars["model_calls"] > 0
    assert "model" not in row.state


def test_a_planner_is_chosen_by_its_word_or_given_and_a_wrong_one_is_refused():
    assert mpc_method.Config(planner="icem").planner == ICEM()
    assert mpc_method.Config(planner=ICEM(samples=np.int64(40))).planner == ICEM(samples=40)
    with pytest.raises(InputError, match="planner is 'cems'; expected one of random, cem, icem"):
        mpc_method.Config(planner="cems")
    with pytest.raises(InputError, match=r"planner is <function .*enter your own class"):
        mpc_method.Config(planner=lambda *_: None)
    with pytest.raises(
        InputError, match="model is 'gpp'; expected one of simulator, nn, ensemble, gp, graph"
    ):
        mpc_method.Config(model="gpp")


@pytest.mark.parametrize("name", ["mpc", "pets", "pddm", "open_loop", "mbmf"])
def test_no_setting_of_a_method_or_of_its_papers_profile_is_none(name):
    method = import_module(f"agents.mpc.{name}")
    for settings in (method.Config(), method.PAPER):
        assert None not in dataclasses.asdict(settings).values()
        assert None not in dataclasses.asdict(settings.planner).values()


def test_pets_with_the_papers_numbers_makes_a_million_network_calls_per_step():
    from agents.mpc import pets

    c = pets.PAPER
    assert c.planner.samples * c.planner.iterations * c.horizon * c.particles == 1_000_000


@pytest.mark.parametrize("kind", [CEM, ICEM])
def test_how_strong_the_first_draws_are_is_a_setting_and_the_papers_half_by_default(kind):
    for chosen, std in (({}, 0.5), ({"std": 0.15}, 0.15)):
        first, low, high = [], np.full(2, -20.0), np.full(2, 20.0)

        def see(U, first=first):
            first.append(U)
            return (U**2).sum((1, 2))

        kind(samples=2000, elites=20, iterations=1, **chosen)(
            see, np.zeros((0, 6, 2)), low, high, np.random.default_rng(0)
        )
        ends = 1 if kind is ICEM else 0.8796  # of a normal that ends at two deviations
        spread = 20 * std * ends
        if std < 0.5:  # else many draws are clipped to the limits
            assert first[0].std() == pytest.approx(spread, rel=0.03)
        else:
            assert 0.7 * spread < first[0].std() <= spread


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"propagation": "tsinf", "particles": 5}, ("tsinf", 5)),
        ({"propagation": "mean", "particles": 5}, ("mean", 1)),
        ({"propagation": "tsinf", "particles": 5, "model": "gp"}, ("mean", 1)),
        ({"propagation": "sample", "particles": 5, "model": "gp"}, ("sample", 5)),
    ],
)
def test_members_are_an_ensembles_alone_and_the_mean_is_one_trajectory(settings, expected):
    assert particles_of(mpc_method.Config(**settings)) == expected


def test_optimism_prices_below_the_particles_mean_by_their_deviation():
    task, rng = Cart(), np.random.default_rng(0)
    U = rng.uniform(-2, 2, (4, 5, 1))
    spread = rng.standard_normal((4, 3, 6, 2))

    class Spread:
        particles = 3

        def roll(self, x0, U, t, rng):
            return spread

    price = [
        Objective(Spread(), task.cost, np.zeros(2), 0, 5, task.horizon, rng, optimism=k)(U)
        for k in (0.0, 2.0)
    ]
    each = np.stack([task.cost(spread[:, i], U)[:, :5].sum(-1) for i in range(3)])
    last = np.stack(
        [2 * 0.5 * spread[:, i, 5, 0] ** 2 + 0.5 * 0.2 * spread[:, i, 5, 1] ** 2 for i in range(3)]
    )
    np.testing.assert_allclose(price[0], (each + last).mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        price[1], (each + last).mean(0) - 2 * (each + last).std(0), rtol=1e-12
    )


def test_optimism_holds_for_the_first_rounds_and_is_not_handed_out(monkeypatch):
    seen, plan = [], MPC.plan

    def watched(self, *how):
        seen.append(self.optimism)
        return plan(self, *how)

    monkeypatch.setattr(MPC, "plan", watched)
    method, settings = config(
        "mpc, icem", optimism=0.7, optimistic_iterations=2, propagation="tsinf", particles=5
    )
    left = [row.policy.optimism for row in method.train(Cart(), settings, np.random.default_rng(0))]
    assert left == [0.0] * 3
    assert seen == [0.7] * 15 + [0.0] * 15  # the first round is random


def test_a_plan_is_priced_with_the_policys_optimism():
    class Spread(SimulatorModel):
        particles = 2

        def roll(self, x0, U, t, rng):
            X = super().roll(x0, U, t, rng)
            return np.concatenate([X + 0.3, X - 0.3], 1)

    task, costs = Cart(), []
    for optimism in (0.0, 1.0):
        how = {"steps": 15, "low": task.action_low, "high": task.action_high, "optimism": optimism}
        policy = MPC(Spread(task), RandomShooting(20), task.cost, 5, **how)
        costs.append(
            policy.plan(np.array([1.0, 0.0]), 0, np.zeros((0, 5, 1)), np.random.default_rng(0)).cost
        )
    assert costs[1] < costs[0] - 0.1


def test_optimism_is_refused_where_nothing_is_uncertain_or_it_has_no_use():
    with pytest.raises(InputError, match="with one particle"):
        config("mpc, icem", optimism=0.7, propagation="mean", particles=5)
    for word in ("mpc, gradient", "mpc, ilqr"):
        with pytest.raises(InputError, match=r"expected 0: .* follows the mean"):
            config(word, optimism=0.7, propagation="tsinf", particles=5)


def test_in_the_true_simulator_nothing_is_uncertain_and_there_is_no_optimism(monkeypatch):
    seen, plan = [], MPC.plan

    def watched(self, *how):
        seen.append(self.optimism)
        return plan(self, *how)

    monkeypatch.setattr(MPC, "plan", watched)
    method, settings = config("mpc, cem", optimism=0.7, model="simulator", iterations=1)
    next(method.train(Cart(), settings, np.random.default_rng(0)))
    assert set(seen) == {0.0}


def test_plans_are_made_by_the_cost_that_a_task_names_for_them_and_models_see_outliers_where_asked():
    task = make_task("pets_pusher")
    world = SimulatorModel(task)
    assert TaskMPC(task, world, RandomShooting(5), "simulator", 5).cost is task.planning_cost
    theirs = WithCost(task, task.cost)
    assert TaskMPC(theirs, world, RandomShooting(5), "simulator", 5).cost is task.cost
    for reject in (True, False):
        for model in ("ensemble", "nn", "gp"):
            settings = config("mpc, icem", reject_outliers=reject, model=model)[1]
            assert make_model(settings).reject_outliers is reject
            assert make_model(dataclasses.replace(settings, rare=(1,))).rare == (1,)


def test_tasks_that_cannot_be_planned_in_are_refused():
    for name, words in (("wrapping_pendulum", "manifold"),):
        with pytest.raises(InputError, match=words):
            next(mpc_method.train(make_task(name), mpc_method.Config(), np.random.default_rng(0)))


@pytest.mark.slow
def test_pets_learns_the_pendulum():
    """Gymnasium's pendulum, in the second episode of 10 s, costs about what it does with the true
    model.
    """
    from experiments.configs.pets_pendulum import config, method, task

    settings = dataclasses.replace(config, iterations=2, fit_steps=400)
    rows = list(method.train(task(), settings, np.random.default_rng(0)))
    assert rows[-1].scalars["cost"] < 400


@pytest.mark.slow
def test_icem_learns_to_reach_with_seven_joints():
    """No action at all costs 130 to 240, as the target lies; random ones about 1500."""
    from experiments.configs.icem_pets_reacher import config, method, task

    settings = dataclasses.replace(config, iterations=3)
    rows = list(method.train(task(), settings, np.random.default_rng(0)))
    assert rows[-1].scalars["best_cost"] < 100


def test_fits_within_an_episode_are_refused_where_one_robot_runs_several_in_turn():
    class Serial(Cart):
        serial = True

    task = Serial()
    config = dataclasses.replace(mpc_method.Config(), fit_every=5, samples=2)
    with pytest.raises(InputError, match="fit_every is 5; expected 0"):
        next(mpc_method.train(task, config, np.random.default_rng(0)))


class FixedCart(Cart):
    """From two fixed places: no start draws a number."""

    conditions = 2

    def starts(self, conditions, rng):
        return np.array([[1.0, 0.0], [-0.6, 0.2]])[conditions]


class SerialCart(FixedCart):
    serial = True

    def reset(self, conditions, rng):
        assert len(conditions) == 1  # one robot
        return super().reset(conditions, rng)


EVERY = {word: kind for word, (_, kind) in SMALL.items() if word.startswith("mpc")}
EVERY["mpc, cem of whole normals"] = CEM(10, 6, 2, truncated=False)


@pytest.mark.parametrize("word", EVERY)
@pytest.mark.parametrize(("noise", "every"), [(0.0, 1), (1.0, 3)])
def test_a_planner_on_one_robot_has_the_numbers_that_it_has_side_by_side(word, noise, every):
    found = []
    for task in (FixedCart(), SerialCart()):
        policy, rng = mpc(task, EVERY[word], 4, replan_every=every), np.random.default_rng(3)
        shown = rollout(task, policy, np.arange(2), 2, rng, noise=noise)
        found.append((shown.u, shown.x, policy.calls, rng.random()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_on_one_robot_has_the_numbers_of_robots_side_by_side():
    """Warm-up, with actions held for a while, then plans in a model that was learned."""
    config = mpc_method.Config(
        model="nn",
        hidden=(4,),
        fit_steps=20,
        planner=CEM(8, 4, 2),
        horizon=4,
        iterations=2,
        samples=2,
        action_repeat=2,
    )
    rows = [
        list(mpc_method.train(task, config, np.random.default_rng(5)))
        for task in (FixedCart(), SerialCart())
    ]
    for a, b in zip(*rows, strict=True):
        np.testing.assert_array_equal(a.arrays["x"], b.arrays["x"])
        assert a.scalars["cost"] == b.scalars["cost"]


def test_an_episode_that_is_repeated_has_the_numbers_that_it_had():
    class Stumbling(SerialCart):
        steps, fallen = 0, False

        def step(self, u):
            self.steps += 1
            if self.steps == 22 and not self.fallen:  # in the second episode
                self.fallen = True
                raise EpisodeDiscarded("it fell")
            return super().step(u)

    expected, got = (
        rollout(
            task, mpc(task, RandomShooting(samples=9), 5), np.arange(2), 2, np.random.default_rng(1)
        )
        for task in (FixedCart(), Stumbling())
    )
    np.testing.assert_array_equal(got.u, expected.u)
