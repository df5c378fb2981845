"""Every public function names an argument of the wrong kind, and no function of the user can spoil
a solve by writing to what it gets.
"""

import inspect

import numpy as np
import pytest
from problems import random_controller, random_problem

import lqr
from lqr import Action, InputError, LinearGaussianObservation, WeightedNorm

rng = np.random.default_rng(0)
DX, DU, T = 3, 2, 4
dynamics, quadratic, x0 = random_problem(rng, DX, DU, T)
controller = random_controller(rng, DX, DU, T)
U = np.zeros((T, DU))
X = np.zeros((T + 1, DX))
observation = LinearGaussianObservation(
    np.ones((T + 1, 1, DX)), np.zeros((T + 1, 1)), np.ones((T + 1, 1, 1))
)
MODEL = {"dynamics": dynamics, "x0": x0}
worth = lqr.backward(dynamics, quadratic)[1]
under = lqr.forward(dynamics, controller, x0)
filtered = lqr.kalman_filter(dynamics, observation, x0, U, np.zeros((T + 1, 1)))


def step(x, u):
    return 0.9 * x + 0.1 * u.sum()


def plan(x, warm):
    return lqr.ilqr(step, quadratic, x, warm, max_iterations=1)


def below_nine(X, U):
    G = np.zeros((*X.shape[:-1], 1, DX + DU))
    G[..., 0] = 1.0
    return X[..., :1] - 9.0, G


EXACT = {"dynamics": dynamics, "cost": quadratic, "x0": x0}
SOLVE = {"dynamics": step, "cost": quadratic, "x0": np.ones(DX), "U": U}
KL = {**EXACT, "anchor": controller, "epsilon": 1.0}
CALLS = {  # every public function, with good arguments by name
    "absolute": {
        "value": np.zeros(T + 1),
        "g": np.zeros((T + 1, DX + DU)),
        "H": quadratic.C,
        "xu": np.zeros((T + 1, DX + DU)),
    },
    "action_value": {"dynamics": dynamics, "cost": quadratic, "value": worth},
    "backward_each": {"dynamics": dynamics, "cost": quadratic},
    "backward_regularised": {"dynamics": dynamics, "cost": quadratic, "mu_x": 0.1, "mu_u": 0.1},
    "controller_value": {"dynamics": dynamics, "cost": quadratic, "controller": controller},
    "costate": {"value": worth, "X": X},
    "equality_constrained": {
        "dynamics": dynamics,
        "cost": quadratic,
        "constraints": [None] * (T + 1),
        "x0": np.ones(DX),
    },
    "kalman_predict": {
        "belief": x0,
        "F": dynamics.F[0],
        "f": np.zeros(DX),
        "cov": np.eye(DX),
        "u": np.zeros(DU),
    },
    "kalman_update": {
        "belief": x0,
        "H": np.ones((1, DX)),
        "h": np.zeros(1),
        "R": np.eye(1),
        "o": np.zeros(1),
    },
    "linear": {"A": np.eye(DX), "B": np.ones((DX, DU)), "T": T},
    "lqg": {"dynamics": dynamics, "cost": quadratic, "observation": observation, "x0": x0},
    "multiple_shooting": {**SOLVE, "X": X},
    "quadratic": {"Q": np.eye(DX), "R": np.eye(DU), "T": T},
    "sample_trajectories": {**MODEL, "controller": controller, "rng": rng, "samples": 2},
    "solve_lqr": {"dynamics": dynamics, "cost": quadratic, "x0": np.ones(DX)},
    "solve_lqr_vjp": {
        "dynamics": dynamics,
        "cost": quadratic,
        "x0": np.ones(DX),
        "gradient": {"V": np.zeros((T + 1, DX, DX))},
    },
    "stationary_filter": {
        "A": 0.5 * np.eye(DX),
        "H": np.ones((1, DX)),
        "cov": np.eye(DX),
        "R": np.eye(1),
    },
    "backward": {"dynamics": dynamics, "cost": quadratic},
    "constrained_ilqr": {**SOLVE, "constraint": below_nine},
    "entropy": {"controller": controller},
    "expected_cost": {"distribution": under, "cost": quadratic},
    "forward": {"controller": controller, "dynamics": dynamics, "x0": x0},
    "ilqr": SOLVE,
    "infinite_horizon": {"F": dynamics.F[0], "C": quadratic.C[0]},
    "kalman_filter": {
        "dynamics": dynamics,
        "observation": observation,
        "x0": x0,
        "U": U,
        "O": np.zeros((T + 1, 1)),
    },
    "kl_divergence": {"p": controller, "q": controller, "under": under},
    "make_convex": {"cost": quadratic},
    "minimise_cost_within_kl": KL,
    "minimise_cost_within_kl_per_step": KL,
    "negative_log_density": {"controller": controller},
    "receding_horizon": {"plant": step, "plan": plan, "x0": np.ones(DX), "U": U, "steps": 2},
    "rts_smoother": {"dynamics": dynamics, "filtered": filtered},
    "shift": {"U": U, "steps": 1},
    "solve_box_qp": {
        "H": np.eye(DU),
        "g": np.ones(DU),
        "low": -np.ones(DU),
        "high": np.ones(DU),
    },
    "tracking_cost": {"X": X, "U": U, "Q": np.eye(DX), "R": np.eye(DU)},
    "window": {"cost": quadratic, "t": 1, "count": 2, "T": T},
}
OTHERS = [dynamics, quadratic, x0, controller, observation, under, filtered]
OTHERS += [lqr.backward(dynamics, quadratic)[1], step, "word", None, {}, object()]
PLACES = [(name, place) for name, call in CALLS.items() for place in call]


OPTIONAL = [  # what has a default, and may be None where that is it
    (name, p.name, p.default)
    for name, call in CALLS.items()
    for p in inspect.signature(getattr(lqr, name)).parameters.values()
    if p.name not in call and p.kind is not p.VAR_KEYWORD
]
FUNCTIONS = {"jacobian", "hessian", "solve_qp", "callback"}
NO_NUMBERS = [True, np.ones(2, bool), 1j, b"x", [[1.0], [1.0, 2.0]], float("nan")]
NUMBERS = {"temperature", "eta", "tolerance", "max_passes", "rho", "violation", "max_rounds"}
NUMBERS |= {"max_iterations", "mu", "floor", "discount", "weight", "low", "high", "Q_final"}


def test_the_table_holds_every_public_function():
    public = {name for name in lqr.__all__ if inspect.isfunction(getattr(lqr, name))}
    assert public == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_the_good_arguments_are_good(name):
    assert getattr(lqr, name)(**CALLS[name]) is not None


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_an_argument_of_another_kind_is_refused_by_name(name, place):
    good = CALLS[name][place]
    for other in OTHERS:
        called = (name, place) == ("window", "cost") and callable(other)
        if type(other) is type(good) or called:  # a window may be taken of any function
            continue
        with pytest.raises(InputError, match=rf"\b{place}\b"):
            getattr(lqr, name)(**{**CALLS[name], place: other})


@pytest.mark.parametrize(("name", "place", "default"), OPTIONAL)
def test_an_optional_argument_of_another_kind_is_refused_by_name(name, place, default):
    others = [o for o in OTHERS if o is not default and not (place in FUNCTIONS and o is step)]
    others += NO_NUMBERS if place in NUMBERS else [np.ones((2, 2)), 2]
    for other in others:
        if isinstance(other, str) and other == default:
            continue
        with pytest.raises(InputError, match=rf"\b{place}\b"):
            getattr(lqr, name)(**{**CALLS[name], place: other})


def test_large_problems_with_swapped_arguments_never_reach_a_kernel():
    d, c, start = random_problem(rng, 14, 3, 100)
    k = random_controller(rng, 14, 3, 100)
    with pytest.raises(InputError, match="dynamics is a LinearGaussianController; expected Linear"):
        lqr.forward(k, d, start)
    with pytest.raises(InputError, match="dynamics is a QuadraticCost"):
        lqr.backward(c, d)


COST = WeightedNorm(np.ones(DX), target=[1.0, 2.0, 3.0]) + Action(0.1)


def clean(x, u):
    return np.array([x[0] + 0.1 * x[1], x[1] + 0.1 * np.sin(x[2]), x[2] + 0.1 * u[0] + 0.05 * u[1]])


def spoiling(function):
    """The same function, which leaves rubbish in what it got."""

    def spoilt(*arguments):
        found = function(*arguments)
        for a in arguments:
            a[...] = 77.0
        return found

    return spoilt


class Spoiling:
    def __call__(self, X, U):
        return spoiling(COST)(X, U)

    def expand(self, X, U):
        return spoiling(COST.expand)(X, U)


def jacobian(X, U):
    F = np.zeros((len(U), DX, DX + DU))
    F[:, range(DX), range(DX)] = 1.0
    F[:, 0, 1], F[:, 1, 2], F[:, 2, 3], F[:, 2, 4] = 0.1, 0.1 * np.cos(X[:, 2]), 0.1, 0.05
    return F


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({"dynamics": spoiling(clean)}, {}),
        ({"cost": Spoiling()}, {}),
        ({"cost": COST + Spoiling()}, {}),
        ({"dynamics": spoiling(clean)}, {"second_order": True}),
        ({}, {"jacobian": spoiling(jacobian)}),
        ({}, {"solve_qp": spoiling(lqr.solve_box_qp)}),
    ],
)
@pytest.mark.parametrize("solve", ["ilqr", "constrained_ilqr"])
def test_functions_that_write_to_their_input_change_nothing(solve, change, options):
    good = {"dynamics": clean, "cost": COST, "x0": np.ones(DX), "U": np.zeros((T, DU))}
    if isinstance(change.get("cost"), lqr.Sum):
        good["cost"] = COST + COST
    if solve == "constrained_ilqr":
        good["constraint"] = below_nine
        change = {**change, "constraint": spoiling(below_nine)}
    plain = {k: jacobian if k == "jacobian" else v for k, v in options.items() if k != "solve_qp"}
    if "solve_qp" in options:
        plain["solve_qp"] = lqr.solve_box_qp
    expected = getattr(lqr, solve)(**good, low=-1.0, high=1.0, **plain)
    found = getattr(lqr, solve)(**{**good, **change}, low=-1.0, high=1.0, **options)
    if solve == "constrained_ilqr":
        expected, found = expected.solution, found.solution
    np.testing.assert_array_equal(found.U, expected.U)
    np.testing.assert_array_equal(found.X, expected.X)
    assert found.cost == expected.cost


def test_a_plant_and_a_plan_that_write_to_their_input_change_nothing():
    def adds_in_place(x, u):
        x += 0.1 * u.sum()
        return x

    def adds(x, u):
        return x + 0.1 * u.sum()

    expected = lqr.receding_horizon(adds, plan, np.ones(DX), U, 5)
    found = lqr.receding_horizon(adds_in_place, spoiling(plan), np.ones(DX), U, 5)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
