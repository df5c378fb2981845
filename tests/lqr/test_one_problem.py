"""One problem that is checked and solved in one kernel: the same verdicts and bits as the long way."""

import numpy as np
import pytest
from problems import random_problem

from lqr import InputError, LinearGaussianDynamics, QuadraticCost, backward
from lqr.batching import _well, flatten
from lqr.kernels.inspection import _definite, _inspect
from lqr.passes import _backward_of_one

SIZES = [(1, 1, 1), (3, 2, 5), (10, 2, 4), (17, 3, 3)]


@pytest.mark.parametrize("size", SIZES)
def test_it_has_the_bits_of_a_batch_of_one(size):
    problem = random_problem(np.random.default_rng(0), *size)[:2]
    batch = [type(t)(*(a[None] for a in t)) for t in problem]
    assert _backward_of_one(*problem) is not None
    assert _backward_of_one(*batch) is None
    for one, many in zip(backward(*problem), backward(*batch), strict=True):
        for a, b in zip(one, many, strict=True):
            np.testing.assert_array_equal(a, b[0], strict=True)


@pytest.mark.parametrize("size", SIZES)
def test_what_the_long_way_refuses_it_leaves_to_that(size):
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        fields = [a.copy() for t in random_problem(rng, *size)[:2] for a in t]
        a = fields[rng.integers(6)].reshape(-1)
        spoil = rng.integers(4)
        value = (np.nan, np.inf, -np.inf, 10 ** rng.uniform(-12, 1))[spoil]
        place = rng.integers(a.size)
        a[place] = value if spoil < 3 else a[place] - value
        dynamics, cost = _problem(fields)
        try:
            flatten(("dynamics", "cost"), dynamics, cost)
        except InputError:
            refused += 1
            assert _backward_of_one(dynamics, cost) is None
            with pytest.raises(InputError):
                backward(dynamics, cost)
    assert 150 < refused < 300


@pytest.mark.parametrize("size", [(2, 1, 2), (11, 2, 1)])
def test_no_number_that_is_not_finite_stays_unseen_wherever_it_stands(size):
    fields = [a for t in random_problem(np.random.default_rng(4), *size)[:2] for a in t]
    assert _backward_of_one(*_problem(fields)) is not None
    for which, a in enumerate(fields):
        for place in range(a.size):
            for value in (np.nan, np.inf, -np.inf):
                spoilt = [b.copy() for b in fields]
                spoilt[which].reshape(-1)[place] = value
                if which in (2, 3):  # of a symmetric matrix, both sides
                    other = np.swapaxes(spoilt[which], -1, -2).copy()
                    seen = ~np.isfinite(other)
                    spoilt[which][seen] = other[seen]
                assert _backward_of_one(*_problem(spoilt)) is None, (which, place, value)


def test_arrays_that_are_not_plain_and_sizes_that_do_not_fit_go_the_long_way():
    dynamics, cost, _ = random_problem(np.random.default_rng(2))
    F, T = dynamics.F, len(dynamics.F)
    expected = backward(dynamics, cost)[0].K
    locked = F.copy()
    locked.flags.writeable = False
    for other in (np.asfortranarray(F), locked, F.tolist(), np.repeat(F, 2, axis=0)[::2]):
        assert _backward_of_one(dynamics._replace(F=other), cost) is None
        assert (expected == backward(dynamics._replace(F=other), cost)[0].K).all()
    for wrong in (F[:, :, :3], F[1:], F[:, :2], np.float32(F)):
        assert _backward_of_one(dynamics._replace(F=wrong), cost) is None
    with pytest.raises(InputError, match=rf"dynamics.f has shape \({T}, 3\)"):
        backward(dynamics._replace(F=F[1:].copy()), cost)


@pytest.mark.parametrize("d", [1, 2, 9, 17])
def test_matrices_that_are_plainly_well_have_eigenvalues_above_zero(d):
    rng, sure = np.random.default_rng(3), 0
    for _ in range(200):
        A = rng.normal(size=(d, d))
        P = A @ A.T
        P -= (
            np.eye(d)
            * np.linalg.eigvalsh(P).min()
            * (1 + 10 ** rng.uniform(-12, 0) * rng.choice([-1, 1]))
        )
        P = (0.5 * (P + P.T))[None]
        if _definite(P):
            sure += 1
            assert np.linalg.eigvalsh(P).min() > 0
        assert _well(P, True, True) == (_inspect(P, True, True)[0] == 0)
    assert 20 < sure < 180


def _problem(fields):
    return LinearGaussianDynamics(*fields[:3]), QuadraticCost(*fields[3:])
