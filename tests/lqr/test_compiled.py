"""A user's functions that numba compiled: what they do wrong is met where they are entered, and no
kernel goes on with numbers that they did not give.
"""

import numpy as np
import pytest
from numba import njit

from lqr import InputError, QuadraticCost, ilqr

T = 5
GOOD, NAN, RAISES, SHORT, WRITES = range(5)


@njit
def moody(x, u):
    """x = [place, speed, mood]; beside the trajectory's start, place > 1, it behaves as its mood
    says.
    """
    y = np.array([x[0] + 0.1 * x[1], x[1] + 0.1 * (u[0] - np.sin(x[0])), x[2]])
    mood = round(x[2]) if x[0] > 1.0 or round(x[2]) == WRITES else GOOD
    if mood == NAN:
        y[0] = np.nan
    if mood == RAISES:
        raise ValueError("the cable is out")
    if mood == SHORT:
        y = y[:1]
    if mood == WRITES:
        x[:] = 77.0
        u[:] = 77.0
    return y


@njit
def derivatives(X, U):
    """Its Jacobians, which behave as the mood says once an action is not 0."""
    F = np.zeros((len(U), 3, 4))
    for t in range(len(U)):
        F[t, 0, 0] = F[t, 1, 1] = F[t, 2, 2] = 1.0
        F[t, 0, 1] = F[t, 1, 3] = 0.1
        F[t, 1, 0] = -0.1 * np.cos(X[t, 0])
    mood = round(X[0, 2]) if U[0, 0] != 0.0 or round(X[0, 2]) == WRITES else GOOD
    if mood == NAN:
        F[-1] = np.nan
    if mood == RAISES:
        raise ValueError("the cable is out")
    if mood == SHORT:
        F = F[:1]
    if mood == WRITES:
        X[:] = 77.0
    return F


@njit
def foreign(x, u):
    known = {"a": 1, 2: "b"}  # Python's own, which no compiler takes
    return x * len(known)


COST = QuadraticCost(
    np.tile(np.diag([1.0, 0.1, 0.0, 0.1]), (T + 1, 1, 1)),
    np.tile([-0.5, 0.0, 0.0, 0.0], (T + 1, 1)),
    np.zeros(T + 1),
)


def solved(mood, dynamics=moody, **more):
    return ilqr(dynamics, COST, [1.0, 0.0, mood], np.zeros((T, 1)), **more)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mood", [NAN, RAISES, SHORT])
@pytest.mark.parametrize("name", ["dynamics", "jacobian"])
def test_what_misbehaves_beside_the_trajectory_has_no_derivative(name, mood):
    more = {"jacobian": derivatives} if name == "jacobian" else {}
    with pytest.raises(InputError, match=f"{name} has no derivative"):
        solved(mood, **more)


@pytest.mark.parametrize("more", [{}, {"jacobian": derivatives}])
def test_what_writes_to_its_input_changes_nothing(more):
    plain = ilqr(moody.py_func, COST, [1.0, 0.0, GOOD], np.zeros((T, 1)))
    np.testing.assert_allclose(solved(WRITES, **more).U, plain.U, atol=1e-6)


@pytest.mark.filterwarnings("ignore::numba.NumbaTypeSafetyWarning")
def test_what_cannot_be_compiled_is_named_in_one_short_line():
    with pytest.raises(InputError, match="dynamics failed with TypingError") as caught:
        solved(GOOD, foreign)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
