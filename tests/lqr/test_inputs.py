"""What callers may pass in: any kind of array gives the same answer, none is changed, and a bad
number is named.
"""

import numpy as np
import pytest
from problems import random_controller, random_problem

from lqr import (
    InputError,
    backward,
    entropy,
    expected_cost,
    forward,
    kl_divergence,
    minimise_cost_within_kl,
    minimise_cost_within_kl_per_step,
    negative_log_density,
)
from lqr.kernels.marginals_blocked import _divergence, _forward
from lqr.kernels.riccati_blocked import _backward


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def strided(a):
    wide = np.zeros((*a.shape, 2))
    wide[..., 0] = a
    return wide[..., 0]


KINDS = {
    "read-only": read_only,
    "Fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "list": lambda a: a.tolist(),
    "big-endian": lambda a: a.astype(">f8"),
    "float32": lambda a: a.astype(np.float32),
}


def solve(anchor, dynamics, cost, x0):
    """Returns all numbers that the passes and both solvers give."""
    controller, value = backward(dynamics, cost, 0.2)
    marginals = forward(dynamics, anchor, x0)
    both = [
        s(dynamics, cost, anchor, x0, 0.5)
        for s in (minimise_cost_within_kl, minimise_cost_within_kl_per_step)
    ]
    spent = (
        kl_divergence(controller, anchor, marginals),
        expected_cost(marginals, cost),
        entropy(anchor),
    )
    return [
        *controller,
        *value,
        *marginals,
        *spent,
        *(field for r in both for field in (*r.controller, r.kl)),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(3, 2, 5), (9, 3, 4)])
def test_any_kind_of_array_gives_the_same_answer_and_is_left_alone(kind, size):
    rng = np.random.default_rng(0)
    dynamics, cost, x0 = random_problem(rng, *size, lead=(2,))
    problem = random_controller(rng, *size, lead=(2,)), dynamics, cost, x0
    exact = solve(*problem)
    other = [type(t)(*(KINDS[kind](a) for a in t)) for t in problem]
    found = solve(*other)
    for mine, expected in zip(found, exact, strict=True):
        assert mine.dtype == np.float64
        tolerance = 1e-4 if kind == "float32" else 1e-12
        np.testing.assert_allclose(
            mine, expected, rtol=tolerance, atol=tolerance * abs(expected).max()
        )
    for before, after in zip(problem, other, strict=True):
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(KINDS[kind](a), b)


def test_above_the_small_sizes_no_shape_and_no_kind_of_array_is_compiled_for():
    rng = np.random.default_rng(1)

    def use(kind, *size, lead=(1,)):
        dynamics, cost, x0 = random_problem(rng, *size, lead=lead)
        solve(
            *(
                type(t)(*(kind(a) for a in t))
                for t in (random_controller(rng, *size, lead=lead), dynamics, cost, x0)
            )
        )

    use(np.array, 10, 3, 4)
    kernels = _backward, _forward, _divergence
    before = [len(k.signatures) for k in kernels]
    for size, lead in (((10, 4, 5), ()), ((2, 11, 1), (2, 3)), ((17, 5, 3), (4,))):
        for kind in KINDS.values():
            use(kind, *size, lead=lead)
    assert [len(k.signatures) for k in kernels] == before == [1, 1, 1]


FUNCTIONS = {
    "backward": (backward, ("dynamics", "cost")),
    "forward": (forward, ("anchor", "dynamics", "x0")),
    "entropy": (entropy, ("anchor",)),
    "negative_log_density": (negative_log_density, ("anchor",)),
    "within_kl": (
        lambda **p: minimise_cost_within_kl(**p, epsilon=1.0),
        ("anchor", "dynamics", "cost", "x0"),
    ),
    "per_step": (
        lambda **p: minimise_cost_within_kl_per_step(**p, epsilon=1.0),
        ("anchor", "dynamics", "cost", "x0"),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named_with_its_index_wherever_it_is(name, value):
    rng = np.random.default_rng(2)
    dynamics, cost, x0 = random_problem(rng, 9, 3, 4, lead=(2,))
    problem = {
        "anchor": random_controller(rng, 9, 3, 4, lead=(2,)),
        "dynamics": dynamics,
        "cost": cost,
        "x0": x0,
    }
    function, arguments = FUNCTIONS[name]
    rename = {"anchor": "controller"} if name == "forward" else {}
    for spoilt in arguments:
        for field in problem[spoilt]._fields:
            a = getattr(problem[spoilt], field).copy()
            place = tuple(int(rng.integers(size)) for size in a.shape)
            a[place] = value
            bad = {**problem, spoilt: problem[spoilt]._replace(**{field: a})}
            given = {rename.get(k, k): bad[k] for k in arguments}
            with pytest.raises(InputError) as caught:
                function(**given) if len(given) > 1 else function(next(iter(given.values())))
            assert f".{field} is {value} at index {place}" in str(caught.value)
