"""Numbers at their worst: scales from 1e-8 to 1e8, constants, duplicates, outliers, one sample, one
step.

What comes out is finite and definite, or an error with a name; `python -m tests.faults numeric`
tries more.
"""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.mpc import mpc
from agents.planners import RandomShooting
from agents.policies.mlp import NeuralPolicy
from agents.rollout import rollout
from dynamics import (
    MODELS,
    Ensemble,
    FlatPrior,
    GaussianMixturePrior,
    GaussianProcess,
    Linearised,
    Network,
    fit_linear_gaussian,
    make_prior,
)
from dynamics.normal_inverse_wishart import NormalInverseWishart, posterior
from dynamics.regression import log_evidence, regression
from gps import badmm, ilqg_ld, lqr_flm
from gps.steps.initial_controllers import zero_controllers
from gps.steps.linearise import linearise
from gps.steps.local_data import by_condition, transitions
from gps.steps.local_models import expand_cost, fit_dynamics
from gps.steps.trajectory_step import trajectory_step
from lqr import GPSError, InputError, LinearGaussianController, NumericalError
from lqr.costs import Action, WeightedNorm

settings.register_profile(
    "faults",
    max_examples=int(os.environ.get("FAULTS_EXAMPLES", "20")),
    deadline=None,
    derandomize="FAULTS_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    database=None,
)
hard = settings(settings.get_profile("faults"))

STATES_AND_ACTIONS = [(1, 1), (2, 1), (3, 2), (1, 4)]  # few: kernels are compiled for each


def sized(conditions, samples, steps):
    """Returns a strategy of (C, N, T, dx, du), each up to those."""
    return st.tuples(
        st.integers(1, conditions),
        st.integers(1, samples),
        st.integers(1, steps),
        st.sampled_from(STATES_AND_ACTIONS),
    ).map(lambda size: (*size[:3], *size[3]))


sizes = sized(2, 4, 6)
decades = st.integers(-8, 8).map(lambda power: 10.0**power)
troubles = st.lists(
    st.sampled_from(
        [
            "constant x",
            "constant u",
            "all the same",
            "twice",
            "collinear",
            "outlier",
            "saturated",
            "still",
        ]
    ),
    max_size=3,
    unique=True,
)
words = st.sampled_from(["flat", "gmm", "previous"])
LEARNED = {  # small, so that many can be fitted
    "nn": lambda: Linearised(Network((8,), 20)),
    "ensemble": lambda: Linearised(Ensemble(2, (8,), 20)),
    "gp": lambda: Linearised(GaussianProcess(50, 50, 10_000, 5)),
}


def data(size, seed, scale_x, scale_u, offset, trouble):
    """Returns x (C, N, T+1, dx) and u (C, N, T, du) of a stable random linear system, with
    troubles.
    """
    C, N, T, dx, du = size
    rng = np.random.default_rng(seed)
    A = np.linalg.qr(rng.normal(size=(dx, dx)))[0]
    B = rng.normal(size=(dx, du))
    x, u = np.zeros((C, N, T + 1, dx)), rng.normal(size=(C, N, T, du))
    x[:, :, 0] = rng.normal(size=(C, N, dx))
    if "saturated" in trouble:
        u = np.sign(u)
    for t in range(T):
        x[:, :, t + 1] = x[:, :, t] @ A.T + u[:, :, t] @ B.T + 1e-3 * rng.normal(size=(C, N, dx))
    if "constant x" in trouble:
        x[..., 0] = 1.0
    if "constant u" in trouble:
        u[..., 0] = -1.0
    if "collinear" in trouble and dx > 1:
        x[..., 1] = 2 * x[..., 0]
    if "still" in trouble:
        x[:] = x[:, :, :1]
    if "twice" in trouble:
        x, u = (np.repeat(a[:, :1], N, axis=1) for a in (x, u))
    if "all the same" in trouble:
        x[:], u[:] = 0.3, -0.2
    x, u = scale_x * (x + offset), scale_u * u
    if "outlier" in trouble:
        x[0, 0, -1, 0] = 1e12
    return x, u


def is_covariance(cov):
    """Whether matrices are finite, symmetric and not negative, up to rounding at their own
    scale.
    """
    if not np.isfinite(cov).all():
        return False
    size = np.abs(np.einsum("...ii->...i", cov)).max(-1)[..., None, None] + 1e-300
    return (
        np.allclose(cov / size, np.swapaxes(cov, -1, -2) / size)
        and np.linalg.eigvalsh(cov / size).min() > -1e-6
    )


def fitted(x, u, word, weight=None):
    prior = make_prior(LEARNED[word]() if word in LEARNED else word)
    now, after = x[:, :, :-1], x[:, :, 1:]
    took = np.ones(u.shape[:3], bool) if weight is None else weight > 0
    prior.update(now[took], u[took], after[took])
    return fit_linear_gaussian(x, u, prior, weight=weight)


@hard
@given(
    sizes,
    st.integers(0, 10**6),
    decades,
    decades,
    st.sampled_from([0.0, 1.0, 1e4]),
    troubles,
    words,
)
def test_a_model_is_fitted_to_anything(size, seed, scale_x, scale_u, offset, trouble, word):
    x, u = data(size, seed, scale_x, scale_u, offset, trouble)
    model = fitted(x, u, word)
    assert np.isfinite(model.dynamics.F).all()
    assert np.isfinite(model.dynamics.f).all()
    assert is_covariance(model.dynamics.cov)
    assert np.isfinite(model.evidence)


@hard
@given(
    *(sizes, st.integers(0, 10**6), decades, decades, st.sampled_from([0.0, 1.0, 1e4]), troubles),
    st.sampled_from(sorted(LEARNED)),
)
def test_a_learned_global_model_makes_a_local_one_of_anything(
    size, seed, scale_x, scale_u, offset, trouble, word
):
    x, u = data(size, seed, scale_x, scale_u, offset, trouble)
    model = fitted(x, u, word)
    assert np.isfinite(model.dynamics.F).all()
    assert np.isfinite(model.dynamics.f).all()
    assert is_covariance(model.dynamics.cov)
    assert np.isfinite(model.evidence)


@hard
@given(sizes, st.integers(0, 10**6), decades, troubles, words)
def test_a_controller_is_improved_on_any_model_or_kept(size, seed, scale, trouble, word):
    C, _, T, dx, du = size
    x, u = data(size, seed, scale, 1.0, 0.0, trouble)
    task = World(C, T, dx, du)
    controller = zero_controllers(task, 0.1)
    start = rollout(task, controller, np.arange(C), x.shape[1], np.random.default_rng(0))
    local = by_condition(start, controller, np.ones(C))._replace(x=x, u=u, o=x)
    model = fit_dynamics(local, trained(local, word))
    step = trajectory_step(local, model.dynamics, expand_cost(task.cost, local), np.full(C, 1.0))
    for array in (*step.controller, step.mean, step.cov, step.kl, step.eta, step.predicted):
        assert np.isfinite(array).all()
    assert is_covariance(step.controller.cov)


def trained(local, word):
    prior = make_prior(word)
    prior.update(*transitions(local))
    return prior


@hard
@given(sizes, st.integers(0, 10**6), decades, troubles)
def test_a_policy_is_linearised_around_anything(size, seed, scale, trouble):
    x, u = data(size, seed, scale, 1.0, 0.0, trouble)
    du = u.shape[-1]
    found = linearise(x[:, :, :-1], u, np.eye(du), np.ones(u.shape[:3]))
    assert all(np.isfinite(a).all() for a in found)


@hard
@given(sizes, st.integers(0, 10**6), decades, troubles)
def test_a_network_is_trained_on_anything_and_stays_as_it_was_where_it_cannot_be(
    size, seed, scale, trouble
):
    x, u = data(size, seed, scale, 1.0, 0.0, trouble)
    o, target = x[:, :, :-1].reshape(-1, x.shape[-1]), u.reshape(-1, u.shape[-1])
    rng = np.random.default_rng(seed)
    policy = NeuralPolicy.create(o.shape[1], target.shape[1], (4,), np.ones(target.shape[1]), rng)
    before = policy.mean(o)
    try:
        assert np.isfinite(
            policy.fit(o, target, np.tile(np.eye(target.shape[1]), (len(o), 1, 1)), rng, steps=3)
        )
    except NumericalError:
        np.testing.assert_allclose(policy.mean(o), before)
    assert np.isfinite(policy.mean(o)).all()
    assert np.isfinite(policy.jacobian(o)).all()


@hard
@given(st.integers(1, 5), st.integers(0, 50), st.integers(0, 10**6), decades, st.integers(-12, 0))
def test_a_posterior_over_gaussians_is_one_whatever_the_samples(d, N, seed, scale, condition):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    Phi = scale**2 * (Q * np.logspace(0, condition, d)) @ Q.T
    prior = NormalInverseWishart(np.zeros(d), 0.5 * (Phi + Phi.T), np.array(0.5), np.array(2.0))
    z = scale * rng.normal(size=(max(N, 1), d))
    gap = z - z.mean(0)
    after = posterior(prior, z.mean(0), N / max(N, 1) * gap.T @ gap, np.array(float(N)))
    assert is_covariance(after.Phi)
    if d > 1:  # the last coordinate given the others
        assert np.isfinite(log_evidence(regression(prior, 1), regression(after, 1)))


class World:
    """A random stable linear system with C conditions; x is observed."""

    name, dt = "world", 0.1

    def __init__(self, C, T, dx, du, scale=1.0, length=None, limit=1.0):
        self.conditions = C
        self.horizon = T
        self.dx = dx
        self.du = du
        self.do = dx
        rng = np.random.default_rng(0)
        self.A = 0.9 * np.linalg.qr(rng.normal(size=(dx, dx)))[0]
        self.B = rng.normal(size=(dx, du)) * scale
        self.starts = scale * rng.normal(size=(C, dx))
        self.action_low, self.action_high = -limit * np.ones(du), limit * np.ones(du)
        self.cost = WeightedNorm(np.ones(dx) / scale, l2=1.0) + Action(0.1)
        self.length = length or [T] * C

    def reset(self, conditions, rng):
        self.where, self.t = np.asarray(conditions), 0
        self.x = self.starts[conditions] + 1e-3 * self.starts[conditions] * rng.normal(
            size=(len(conditions), 1)
        )
        return self.x.copy()

    def step(self, u):
        self.x, self.t = self.x @ self.A.T + u @ self.B.T, self.t + 1
        return self.x.copy()

    def observe(self):
        return self.x.copy()

    def done(self):
        return self.t >= np.array(self.length)[self.where]

    observation_of = staticmethod(np.copy)

    def metrics(self, x, u):
        return {"distance": np.linalg.norm(x[:, -1], axis=-1)}


def finite_where_told(scalars):
    """Returns whether all is finite, but for NaN of what too few episodes cannot tell."""
    few = {"action_effect", "cost_by_state", "cost_spread"}
    return all(np.isfinite(v) or (name in few and np.isnan(v)) for name, v in scalars.items())


@pytest.mark.filterwarnings("ignore:no action varied")  # as where all are at a limit
@hard
@given(
    sized(2, 3, 5),
    st.integers(-4, 4).map(lambda power: 10.0**power),
    words,
    st.sampled_from([1e-3, 1.0, 1e3, np.inf]),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_two_iterations_of_learning_have_finite_metrics_or_end_with_a_named_error(
    size, scale, word, limit, net, seed
):
    C, N, T, dx, du = size
    draw = np.random.default_rng(seed)
    task = World(C, T, dx, du, scale, length=draw.integers(1, T + 1, size=C).tolist(), limit=limit)
    method, more = (badmm, {"policy_steps": 3, "hidden": (4,)}) if net else (lqr_flm, {})
    config = method.Config(iterations=2, samples=N, prior=word, **more)
    try:
        for iteration in method.train(task, config, np.random.default_rng(seed)):
            assert finite_where_told(iteration.scalars), iteration.scalars
            assert N > 1 or np.isnan(iteration.scalars["cost_spread"])
    except GPSError as error:
        assert "expected" in str(error) or "keeps" in str(error) or "?" in str(error)  # noqa: PT017


KINDS = {
    "float32": lambda a: a.astype(np.float32),
    "columns first": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "read-only": lambda a: np.lib.stride_tricks.as_strided(a, writeable=False),
    "big-endian": lambda a: a.astype(">f8"),
    "list": lambda a: a.tolist(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["flat", "gmm"])
def test_a_fit_is_the_same_for_any_kind_of_array_and_leaves_it_alone(kind, word):
    x, u = (np.float32(a).astype(float) for a in data((2, 4, 5, 2, 1), 0, 1.0, 1.0, 0.0, []))
    prior = trained_on(x, u, word)
    expected = fit_linear_gaussian(x, u, prior).dynamics
    given_x, given_u = KINDS[kind](x), KINDS[kind](u)
    copies = np.array(given_x), np.array(given_u)
    found = fit_linear_gaussian(given_x, given_u, prior).dynamics
    assert np.array_equal(copies[0], given_x)
    assert np.array_equal(copies[1], given_u)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "list"])
@pytest.mark.parametrize("prior", [FlatPrior, GaussianMixturePrior])
def test_a_prior_learns_the_same_from_any_kind_of_array(kind, prior):
    x, u = (np.float32(a).astype(float) for a in data((2, 4, 5, 2, 1), 0, 1.0, 1.0, 0.0, []))
    parts = x[:, :, :-1].reshape(-1, 2), u.reshape(-1, 1), x[:, :, 1:].reshape(-1, 2)
    one, other = prior(), prior()
    one.update(*parts)
    other.update(*(KINDS[kind](part) for part in parts))
    where = x[:, :, :-1].swapaxes(1, 2), u.swapaxes(1, 2), x[:, :, 1:].swapaxes(1, 2)
    for a, b in zip(one.at(*where), other.at(*(KINDS[kind](part) for part in where)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-9)


def trained_on(x, u, word):
    prior = make_prior(word)
    prior.update(
        x[:, :, :-1].reshape(-1, x.shape[-1]),
        u.reshape(-1, u.shape[-1]),
        x[:, :, 1:].reshape(-1, x.shape[-1]),
    )
    return prior


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_acts_the_same_on_any_kind_of_observation(kind):
    policy = NeuralPolicy.create(3, 2, (4,), np.ones(2), np.random.default_rng(0))
    policy.weights[-1] = 100 * policy.weights[-1]
    o = np.float32(np.random.default_rng(1).normal(size=(5, 3))).astype(float)
    np.testing.assert_allclose(policy.act(KINDS[kind](o)), policy.act(o), rtol=1e-6)


def test_observations_that_are_whole_numbers_are_seen_as_such():
    policy = NeuralPolicy.create(3, 2, (4,), np.ones(2), np.random.default_rng(0))
    assert np.array_equal(policy.act(np.array([1, 2, 3])), policy.act(np.array([1.0, 2.0, 3.0])))


class Remembering:
    """A cost that grows with every call."""

    calls = 0

    def __call__(self, X, U):
        self.calls += 1
        return np.full((*X.shape[:-2], X.shape[-2]), float(self.calls))


def writing(X, U):
    X[..., 0] = 0.0
    return X[..., 0]


BAD_COSTS = {
    "NaN": (lambda X, U: X[..., 0] * np.nan, "nan"),
    "infinity": (lambda X, U: X[..., 0] * 0 - np.inf, "inf"),
    "NaN once": (
        lambda X, U: np.where(np.arange(X.shape[-2]) == 3, np.nan, X[..., 0]),
        r"nan at .*3\)",
    ),
    "a step too few": (lambda X, U: X[..., :-1, 0], "shape"),
    "a total": (lambda X, U: X[..., 0].sum(-1), "shape"),
    "one number": (lambda X, U: 1.0, "shape"),
    "a dimension too many": (lambda X, U: X[..., :1], "shape"),
    "complex": (lambda X, U: X[..., 0] * 1j, "complex"),
    "words": (lambda X, U: X[..., 0].astype(str), "<U"),
    "objects": (lambda X, U: X[..., 0].astype(object), "object"),
    "yes or no": (lambda X, U: X[..., 0] > 0, "bool"),
    "nothing": (lambda X, U: None, "shape"),
    "writes": (writing, "writes to its input"),
    "remembers": (Remembering(), "must not remember"),
    "looks across episodes": (lambda X, U: X[..., 0] - X[..., 0].mean(0), "across episodes"),
}


@pytest.mark.parametrize("name", BAD_COSTS)
def test_a_bad_cost_is_refused_with_what_is_wrong_with_it(name):
    task = World(2, 5, 2, 1)
    task.cost, reason = BAD_COSTS[name]
    with pytest.raises(InputError, match=reason):
        rollout(task, zero_controllers(task, 0.1), np.arange(2), 2, np.random.default_rng(0))


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_a_cost_of_small_or_whole_numbers_is_taken_as_it_is(kind):
    task = World(2, 5, 2, 1)
    task.cost = lambda X, U: np.ones((*X.shape[:-2], X.shape[-2]), kind)
    cost = rollout(
        task, zero_controllers(task, 0.1), np.arange(2), 2, np.random.default_rng(0)
    ).cost
    assert cost.dtype == float
    assert (cost == 1).all()


@pytest.mark.parametrize(
    ("method", "value", "named"),
    [
        ("reset", lambda x: x[0], "reset gave shape"),
        ("step", lambda x: x[:, :1], "step gave shape"),
        ("step", lambda x: x.astype(complex), "complex"),
        ("observe", lambda x: x[:, 0], "observe gave shape"),
        ("done", lambda d: d[:1], "done gave shape"),
        ("reset", lambda x: x * np.nan, "reset gave condition 0"),
    ],
)
def test_a_task_that_gives_something_else_than_it_promised_is_refused_by_name(method, value, named):
    task = World(2, 5, 2, 1)
    real = getattr(task, method)
    setattr(task, method, lambda *arguments: value(real(*arguments)))
    with pytest.raises(GPSError, match=named):
        rollout(task, zero_controllers(task, 0.1), np.arange(2), 2, np.random.default_rng(0))


@pytest.mark.parametrize("action", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_no_number_never_reaches_the_simulator(action):
    task = World(1, 5, 2, 1, limit=np.inf)
    task.step = lambda u: pytest.fail(f"stepped with {u}")
    controller = zero_controllers(task, 0.1)
    with pytest.raises(GPSError, match="action of episode 0 at step 0"):
        rollout(
            task,
            controller._replace(k=controller.k + action),
            np.arange(1),
            1,
            np.random.default_rng(0),
            noise=0.0,
        )


def test_a_huge_action_is_clipped_before_it_reaches_the_simulator():
    task = World(1, 5, 2, 1)
    controller = zero_controllers(task, 0.1)
    episodes = rollout(
        task, controller._replace(k=controller.k + 1e30), np.arange(1), 1, np.random.default_rng(0)
    )
    assert (episodes.u == 1.0).all()


# -- what lies past an episode's end --


def test_nothing_past_an_episodes_end_reaches_anything_that_is_computed_from_it(tmp_path):
    task = World(2, 6, 2, 1, length=[4, 6])
    controller = zero_controllers(task, 0.3)
    episodes = rollout(task, controller, np.arange(2), 5, np.random.default_rng(0))
    clean = by_condition(episodes, controller, np.ones(2))
    assert clean.used.sum((1, 2)).tolist() == [5 * 4, 5 * 6]
    np.testing.assert_allclose(clean.cost[0], episodes.cost[:5, :5].sum(-1).mean())
    x, u, o = clean.x.copy(), clean.u.copy(), clean.o.copy()
    x[0, :, 5:], u[0, :, 4:], o[0, :, 5:] = np.nan, np.nan, np.nan
    for poison in (1e9, np.nan):
        dirty = clean._replace(
            x=np.where(np.isnan(x), poison, x),
            u=np.where(np.isnan(u), poison, u),
            o=np.where(np.isnan(o), poison, o),
        )
        for word in ("flat", "gmm"):
            fits = [fit_dynamics(local, trained(local, word)) for local in (clean, dirty)]
            for a, b in zip(fits[0].dynamics, fits[1].dynamics, strict=True):
                np.testing.assert_array_equal(a, b)
    share = [
        expand_cost(task.cost, local)
        for local in (clean, clean._replace(x=np.where(np.isnan(x), 1e6, x)))
    ]
    for a, b in zip(*share, strict=True):
        np.testing.assert_allclose(a[:, :5], b[:, :5], atol=1e-9)
    for terms in share:  # the average over episodes that have all ended costs nothing
        assert (terms.C[0, 5:] == 0).all()


def test_the_policy_is_linearised_without_what_lies_past_an_episodes_end():
    x, u = data((1, 6, 5, 2, 1), 0, 1.0, 1.0, 0.0, [])
    used = np.ones((1, 6, 5))
    used[:, :3, 2:] = 0.0
    dirty_x, dirty_u = x[:, :, :-1].copy(), u.copy()
    dirty_x[used == 0], dirty_u[used == 0] = 1e6, 1e6
    clean = linearise(x[:, :, :-1], u, np.eye(1), used)
    dirty = linearise(dirty_x, dirty_u, np.eye(1), used)
    np.testing.assert_allclose(dirty.K, clean.K, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(dirty.k, clean.k, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 6])
def test_episodes_of_any_length_are_learned_from(length):
    task = World(2, 6, 2, 1, length=[length, 6])
    config = badmm.Config(iterations=2, samples=2, policy_steps=3, hidden=(4,), probe=False)
    for iteration in badmm.train(task, config, np.random.default_rng(0)):
        assert np.isfinite(list(iteration.scalars.values())).all()
        assert iteration.scalars["env_steps"] == iteration.number * 2 * (length + 6)


# -- divergence of the simulator --

HINGE = """<mujoco><option timestep="0.01"/><worldbody><body><joint name="j" type="hinge" damping="-300"/>
<geom type="capsule" size="0.05" fromto="0 0 0 1 0 0"/></body></worldbody>
<actuator><motor joint="j" ctrlrange="-1 1"/></actuator></mujoco>"""


class Hinge:
    """A hinge whose damping is negative: pushed, it runs away; let alone, it stays."""

    name, horizon, dt, dx, du, do, conditions = "hinge", 60, 0.1, 2, 1, 2, 2
    action_low, action_high = -np.ones(1), np.ones(1)
    cost = WeightedNorm(np.array([1.0, 1e-3]), l2=1.0) + Action(0.1)

    def __init__(self, path):
        from agents.tasks.base.mujoco_batch import MujocoBatch

        path.write_text(HINGE)
        self.sim = MujocoBatch(str(path), frame_skip=10)

    def reset(self, conditions, rng):
        self.where = np.asarray(conditions)
        speed = np.where(self.where == 0, 0.0, 1e3)[:, None]
        self.sim.start(np.zeros((len(conditions), 1)), speed)
        return self.observe()

    def step(self, u):
        self.sim.advance(np.where(self.where[:, None] == 0, 0.0, u))
        return self.observe()

    def observe(self):
        return np.concatenate([self.sim.field("qpos"), self.sim.field("qvel")], 1)

    @property
    def diverged(self):
        return self.sim.diverged

    def done(self):
        return self.diverged

    def metrics(self, x, u):
        return {}


def test_a_simulation_that_diverges_ends_is_counted_and_does_not_reach_the_fit(tmp_path):
    task = Hinge(tmp_path / "hinge.xml")
    controller = zero_controllers(task, 1e-3)
    episodes = rollout(task, controller, np.arange(2), 3, np.random.default_rng(0))
    assert episodes.failed.tolist() == [False] * 3 + [True] * 3
    assert (episodes.length[3:] < 60).all()
    local = by_condition(episodes, controller, np.ones(2))
    assert (local.used[1] == 0).all()
    x, _, after = transitions(local)
    assert np.abs(np.concatenate([x, after])).max() < 1.0  # the runaway reached 1e10


class Broken(World):
    """Two conditions, of which the second diverges in its third step."""

    def __init__(self):
        super().__init__(2, 5, 2, 1)

    @property
    def diverged(self):
        return (self.where == 1) & (self.t >= 3)

    def done(self):
        return self.diverged | super().done()

    def advance(self, s, u):
        return s @ self.A.T + u @ self.B.T

    to_physical = states = staticmethod(np.copy)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (lqr_flm, {}),
        (badmm, {"policy_steps": 3, "hidden": (4,)}),
        (ilqg_ld, {"samples": 2, "model": "nn", "plan_iterations": 1}),
        (mpc, {"samples": 2, "model": "simulator", "planner": RandomShooting(2), "horizon": 2}),
    ],
    ids=["lqr_flm", "badmm", "ilqg_ld", "mpc"],
)
def test_costs_and_measures_are_those_of_the_episodes_that_did_not_diverge(
    method, settings, monkeypatch
):
    monkeypatch.setitem(MODELS, "nn", lambda: Network((4,), 1))
    config = method.Config(iterations=2, **settings)
    for iteration in method.train(Broken(), config, np.random.default_rng(0)):
        scalars, cost = iteration.scalars, iteration.arrays["cost"]
        assert np.isfinite(list(scalars.values())).all()
        assert np.isnan(cost[1])
        assert scalars["cost"] == pytest.approx(cost[0])
        assert scalars["diverged"] == (
            2 if method is mpc else 3
        )  # two episodes, and a noise-free one
        if method is badmm:
            assert scalars["policy_diverged"] == 1
            assert scalars["policy_cost"] == iteration.arrays["policy_cost"][0]


def test_a_velocity_that_the_simulator_would_hide_is_seen(tmp_path):
    from agents.tasks.base.mujoco_batch import MujocoBatch

    (tmp_path / "hinge.xml").write_text(HINGE.replace("-300", "0"))
    sim = MujocoBatch(str(tmp_path / "hinge.xml"), 1)
    sim.start(np.zeros((3, 1)), np.array([[0.0], [1e11], [np.nan]]))
    sim.advance(np.zeros((3, 1)))
    assert sim.diverged.tolist() == [False, True, True]
    assert np.isfinite(sim.field("qpos")).all()  # it was reset in place, and looks healthy


def test_a_run_says_how_many_episodes_diverged(capsys):
    from experiments.engine.progress import Display

    display = Display("title", 3)
    display.iteration(1, {"cost": 1.0, "diverged": 2.0}, 0.0, None)
    display.iteration(2, {"cost": 1.0, "diverged": 0.0}, 0.0, None)
    display.close()
    assert capsys.readouterr().out.count("episodes diverged") == 1


def test_a_run_that_will_take_hours_says_so_once(capsys):
    from experiments.engine.progress import Display

    display = Display("title", 3)
    for number in (1, 2, 3):
        display.iteration(number, {"cost": 1.0}, 7000.0, 9000.0 if number > 1 else 7100.0)
    display.close()
    assert capsys.readouterr().out.count("the rest takes 2:30:00 hours") == 1


def test_a_loss_that_is_no_number_keeps_the_old_weights():
    policy = NeuralPolicy.create(2, 1, (4,), np.ones(1), np.random.default_rng(0))
    o, before = np.random.default_rng(1).normal(size=(20, 2)), None
    before = policy.mean(o)
    with pytest.raises(NumericalError, match="loss"), np.errstate(all="ignore"):
        policy.fit(
            o,
            np.full((20, 1), 1e200),
            np.tile(1e200 * np.eye(1), (20, 1, 1)),
            np.random.default_rng(0),
            steps=2,
        )
    np.testing.assert_allclose(policy.mean(o), before)


def test_controllers_with_one_sample_and_more_actions_than_states_are_improved():
    assert isinstance(zero_controllers(World(1, 1, 1, 4), 0.1), LinearGaussianController)
    for method in (lqr_flm, badmm):
        more = {"policy_steps": 3, "hidden": (4,)} if method is badmm else {}
        config = method.Config(iterations=3, samples=1, **more)
        last = list(method.train(World(1, 1, 1, 4), config, np.random.default_rng(0)))[-1]
        assert finite_where_told(last.scalars)
