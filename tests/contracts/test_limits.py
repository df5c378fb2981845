"""Whatever the limits of the actions are, a method, a planner and a policy act within them and
explore, or refuse them by name and say what to do.
"""

import warnings

import gymnasium
import numpy as np
import pytest
from every_method import METHODS, Cart, actions, learned

from agents import load_policy, save_policy
from agents.planners import PLANNERS
from agents.planners.models import SimulatorModel
from agents.planners.objective import Objective
from agents.policies import make_policy, policy_class, trained_words
from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import rollout
from agents.tasks.adapters.gymnasium_env import TaskEnv
from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from agents.training import Training
from experiments.engine.evaluation import random_actions
from lqr import InputError, LinearGaussianController, WeightedNorm

BOUNDED = {
    "above_0": ([2.0], [4.0]),
    "below_0": ([-4.0], [-2.0]),
    "from_0": ([0.0], [1.0]),
    "not_in_single_precision": ([0.1], [1 / 3]),
}
UNLIMITED = {
    "one_sided": ([1.0], [np.inf]),
    "one_sided_below": ([-np.inf], [0.0]),
    "none": ([-np.inf], [np.inf]),
    "huge": ([-1e300], [1e300]),
    "largest_in_single_precision": (
        [-float(np.finfo(np.float32).max)],
        [float(np.finfo(np.float32).max)],
    ),
}
FIXED = {"one_actuator_that_cannot_move": ([0.0, -1.0], [0.0, 1.0])}
LIMITS = BOUNDED | UNLIMITED | FIXED
NEED_LIMITS = {"ilqg_mf", "mbmf", "mpc", "open_loop", "pddm", "pets", "sac"}
NEED_LIMITS |= {"bptt", "dhmbpo", "distral", "dyna_q", "mba", "mbpo", "me_trpo", "mve", "svg"}
NEED_LIMITS |= {"asynchronous", "mb_mpo", "valued_mpc", "black_drops", "gp_mi", "mc_pilco", "pilco"}
NEED_LIMITS |= {"dfp"}
# rounds of episodes without noise before the first that explore: of a probe, and at rest
QUIET = dict.fromkeys(["badmm", "lqr_flm", "mdgps", "pi2", "pigps", "pilqr", "pilqr_gps"], 1)
QUIET |= {"auto": 2}
REMEDY = "expected finite|leave out an actuator"


class Recorder(Cart):
    """Keeps the actions that reached it."""

    taken: list

    def step(self, u):
        self.taken.append(u.copy())
        return super().step(u)


def recorder(limits):
    low, high = LIMITS[limits]
    task = Recorder(low=low, high=high, weight=3.0 if limits == "above_0" else 0.0)
    task.taken = []
    return task


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("word", METHODS)
def test_a_method_explores_within_the_limits_or_says_what_to_do(word, limits):
    task = recorder(limits)
    if word in NEED_LIMITS and limits not in BOUNDED:
        with pytest.raises(InputError, match=REMEDY):
            learned(word, task)
        return
    rows = learned(word, task)
    assert all(np.isfinite(row.scalars["cost"]) for row in rows)
    free = task.action_low < task.action_high
    quiet = QUIET.get(word, 0) * task.horizon
    pair = 2 if quiet else 1  # a probe runs its pairs one after the other
    first = task.taken[quiet : quiet + pair * task.horizon]  # of the first episodes that explore
    for u in (np.concatenate(first), np.concatenate(task.taken)):
        assert ((u >= task.action_low) & (u <= task.action_high)).all()
        assert (u.std(0)[free] > 0).all()
        on_a_limit = ((u == task.action_low) | (u == task.action_high)).all(1).mean()
        assert on_a_limit < 0.7  # half of them where the best guess, 0, is one


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("word", PLANNERS)
def test_a_planner_stays_within_the_limits_or_says_what_to_do(word, limits):
    if word == "cma":
        pytest.importorskip("cmaes")
    task, rng = recorder(limits), np.random.default_rng(0)
    planner, low, high = PLANNERS[word](), task.action_low, task.action_high
    objective = Objective(SimulatorModel(task), task.cost, np.array([1.0, 0.0]), 0, 4, 6, rng)
    if limits not in BOUNDED:
        with pytest.raises(InputError, match=REMEDY):
            planner(objective, np.zeros((0, 4, task.du)), low, high, rng)
        return
    plan = planner(objective, np.zeros((0, 4, task.du)), low, high, rng)
    for U in (plan.U, plan.warm_starts):
        assert ((low <= U) & (high >= U)).all()


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("word", trained_words())
def test_a_policy_begins_within_the_limits_and_never_leaves_them(word, limits):
    task, rng = recorder(limits), np.random.default_rng(0)
    low, high = task.action_low, task.action_high
    if getattr(policy_class(word), "needs_image", False):
        task.do, task.image = 16 * 16, (16, 16, 1)
    policy = make_policy(word, task, (4,), 0.1 * np.ones(task.du), rng)
    o = rng.uniform(size=(1, 5, task.do)) if word == "recurrent" else rng.normal(size=(5, task.do))
    mean = policy.mean(o)
    assert ((mean >= low - 0.1) & (mean <= high + 0.1)).all()
    with np.errstate(over="ignore"):
        least, most = np.float32(low), np.float32(high)
    for o in 100.0 * rng.normal(size=(20, task.do)):
        policy.reset()
        for u in (policy.act(o), policy.predict(o)[0]):
            assert np.isfinite(u).all()
            assert ((least <= np.float32(u)) & (np.float32(u) <= most)).all()


@pytest.mark.parametrize("limits", LIMITS)
def test_as_an_environment_a_task_gets_actions_within_the_limits_and_pays_numbers(limits):
    task, rng = recorder(limits), np.random.default_rng(0)
    env = TaskEnv(task)
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(task.horizon):
        _, reward, _, _, told = env.step(env.action_space.sample())
        assert np.isfinite(reward)
        assert not told["diverged"]
    some = [random_actions(task.action_low, task.action_high, rng) for _ in range(50)]
    free = task.action_low < task.action_high
    for u in (np.concatenate(task.taken), np.array(some)):
        assert ((u >= task.action_low) & (u <= task.action_high)).all()
        assert (u.std(0)[free] > 0.1 * (limits in UNLIMITED)).all()
        assert (np.abs(u) < 6.0).all()


class Room(gymnasium.Env):
    """Takes actions of any shape, in the box alone; x is their sum so far."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)

    def __init__(self, low, high, shape, dtype):
        self.action_space = gymnasium.spaces.Box(low, high, shape, dtype)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.x = np.ones(1)
        return self.x, {}

    def step(self, u):
        assert isinstance(u, np.ndarray)
        assert u.dtype == self.action_space.dtype
        assert self.action_space.contains(u)
        self.x = self.x + 0.1 * u.sum()
        return self.x, float(-((self.x**2).sum())), False, False, {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (2, 2)])
def test_an_action_space_of_any_shape_gets_its_own(shape, dtype):
    task = room(shape, dtype)
    assert task.du == int(np.prod(shape))
    rows = learned("lqr_flm", task)
    u = actions(task, rows[-1].policy)
    assert u.shape == (1, 4, task.du)
    assert ((u >= task.action_low) & (u <= task.action_high)).all()


def room(shape, dtype, low=0.1, high=1 / 3):
    return GymnasiumTask(
        lambda: Room(low, high, shape, dtype), WeightedNorm([1.0]), horizon=4, conditions=1
    )


@pytest.mark.parametrize(
    ("word", "shape"), [*((word, (2, 2)) for word in METHODS), ("lqr_flm", ()), ("badmm", (1,))]
)
def test_what_a_trained_policy_hands_out_is_what_the_environment_takes(word, shape, tmp_path):
    """As it is, and saved and loaded again; for one observation and for several."""
    task = room(shape, np.float64)
    trained = learned(word, task)[-1].policy
    save_policy(tmp_path / "policy", trained)
    for policy in (trained, load_policy(tmp_path / "policy", task)):
        env = Room(0.1, 1 / 3, shape, np.float64)
        seen, _ = env.reset(seed=0)
        policy.reset()
        state = None
        for i in range(4):
            many, _ = policy.predict(seen[None])
            assert many.shape == (1, *shape)
            u, state = policy.predict(seen, state=state)
            seen = env.step(u if i % 2 else policy.act(seen))[0]
        for bad in (np.full(1, np.nan), np.array(["a"]), None, np.zeros(2), 1j * np.ones(1)):
            for ask in (policy.act, policy.predict):
                with pytest.raises(InputError, match=r"observation|state|simulation|number"):
                    ask(bad)
        task.reset(np.array([0]), np.random.default_rng(0))
        policy.reset()
        assert task.step(policy.predict(task.observe())[0]).shape == (1, 1)


def test_limits_in_single_precision_are_kept_in_single_precision():
    form = room((2, 2), np.float32, -1 / 3, 0.1).action_form
    u = form.fitted(np.array([-1.0, 1.0, np.nextafter(np.float32(0.1), 1), 0.0]))
    assert u.shape == (2, 2)
    assert u.dtype == np.float32
    assert gymnasium.spaces.Box(-1 / 3, 0.1, (2, 2), np.float32).contains(u)


def test_a_run_in_which_no_action_varies_says_so():
    task = Cart(low=[2.0], high=[4.0])
    C, T = task.conditions, task.horizon
    zero = LinearGaussianController(
        np.zeros((C, T, 1, 2)), np.zeros((C, T, 1)), np.full((C, T, 1, 1), 1e-6)
    )
    training = Training(task, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an episode by itself may rest
        still = rollout(task, zero, np.arange(2), 1, np.random.default_rng(0))
        training.count(still, explored=False)
    with pytest.warns(UserWarning, match=r"no action varied in 2 episodes of cart: each was \[2"):
        training.count(still)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it was said
        training.count(still)


@pytest.mark.parametrize("formed", [False, True])
def test_a_finite_action_is_handed_out_as_a_finite_one_in_single_precision(formed):
    controller = LinearGaussianController(
        np.ones((1, 2, 1, 1)), np.zeros((1, 2, 1)), np.ones((1, 2, 1, 1))
    )
    policy = ControllerPolicy(controller)
    if formed:
        policy.form = room((1,), np.float32, -np.inf, np.inf).action_form
    for x in (1e300, -1e300, 3.0):
        u = policy.predict(np.array([x]))[0]
        assert u.dtype == np.float32
        assert u == np.float32(np.clip(x, *(s * np.finfo(np.float32).max for s in (-1.0, 1.0))))
