"""A task seen through an encoder: the same task where nothing is lost, learned as well as
before.
"""

import numpy as np
import pytest

from agents.rollout import rollout
from agents.tasks import PointMass
from agents.tasks.capabilities import ObservationOf, capability
from agents.tasks.wrappers.encoded import DecodedCost, Encoded, LinearEncoder
from gps import lqr_flm
from lqr import InputError

A = np.array(
    [[1.0, 0.5, 0.0, 0.2], [0.0, 2.0, -0.3, 0.0], [0.4, 0.0, 1.0, 0.0], [0.0, 0.1, 0.0, 0.5]]
)


def learned(task):
    # codes have no joints that could be held
    config = lqr_flm.Config(iterations=5, samples=3, initial_std=0.3, initial="zero")
    return [step.scalars for step in lqr_flm.train(task, config, np.random.default_rng(0))]


def test_the_identity_changes_no_bit():
    plain, coded = learned(PointMass()), learned(Encoded(PointMass(), LinearEncoder(np.eye(4))))
    assert plain == coded
    assert plain[-1]["cost"] < 0.9 * plain[0]["cost"]


def test_another_basis_is_learned_as_well():
    plain = learned(PointMass())
    coded = learned(Encoded(PointMass(), LinearEncoder(A, centre=[0.3, -0.2, 0.1, 0.5])))
    assert coded[-1]["cost"] == pytest.approx(plain[-1]["cost"], rel=0.05)


def test_the_cost_of_codes_has_the_derivatives_of_differences():
    rng = np.random.default_rng(0)
    task = PointMass()
    encoder = LinearEncoder(A, centre=[1.0, 2.0, 3.0, 4.0])
    cost = DecodedCost(task.cost, encoder.basis, encoder.offset)
    x, u = rng.normal(size=(task.horizon + 1, 4)), rng.normal(size=(task.horizon, 2))
    z = encoder(x)
    np.testing.assert_allclose(cost.decode(z), x, atol=1e-12)
    found, t, h = cost.expand(z, u), 3, 1e-5
    zu = np.concatenate([z[t], u[t]])
    value = 0.5 * zu @ found.C[t] @ zu + found.c[t] @ zu + found.const[t]
    assert value == pytest.approx(cost(z, u)[t], rel=1e-9)
    for i in range(4):
        more, less = z.copy(), z.copy()
        more[t, i] += h
        less[t, i] -= h
        slope = (cost(more, u)[t] - cost(less, u)[t]) / (2 * h)
        assert (found.C[t] @ zu + found.c[t])[i] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_a_lossy_code_needs_a_cost_of_codes_and_then_runs():
    encoder = LinearEncoder(A[:2])
    with pytest.raises(InputError, match="expected a cost of codes"):
        Encoded(PointMass(), encoder)

    class Nearness:
        def __call__(self, X, U):
            return (X**2).sum(-1)

    for sees in ("x", "o"):
        task = Encoded(PointMass(), encoder, sees=sees, cost=Nearness())
        plain = PointMass()
        seen = rollout(task, Still(), np.arange(4), 1, np.random.default_rng(0))
        true = rollout(plain, Still(), np.arange(4), 1, np.random.default_rng(0))
        expected = (true.x if sees == "x" else true.o) @ A[:2].T
        np.testing.assert_allclose(seen.x, expected, atol=1e-12)
        np.testing.assert_allclose(seen.cost, (expected**2).sum(-1), atol=1e-12)
        np.testing.assert_array_equal(seen.o, true.o)


class Still:
    def sample(self, o, t, rng):
        return np.zeros((len(o), 2))


def test_what_is_known_of_states_is_not_taken_to_hold_for_codes():
    task = Encoded(PointMass(), LinearEncoder(A))
    assert task.joints is None
    assert capability(task, ObservationOf) is None


@pytest.mark.parametrize("matrix", [np.ones((2, 4)), np.zeros(4), np.full((4, 4), np.nan)])
def test_an_encoder_that_is_no_basis_is_refused(matrix):
    with pytest.raises(InputError, match="got an encoder of"):
        LinearEncoder(matrix)
