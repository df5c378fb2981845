"""Episodes that run one after the other draw the numbers that they would draw side by side."""

import numpy as np
import pytest

from agents.rollout.in_turn import DRAWS, in_turn

ARGUMENTS = {  # of the draws that need some
    "beta": (2.0, 3.0),
    "binomial": (9, 0.4),
    "bytes": (4,),
    "chisquare": (3.0,),
    "choice": (9,),
    "dirichlet": ([1.0, 2.0],),
    "f": (3.0, 4.0),
    "gamma": (2.0,),
    "geometric": (0.3,),
    "hypergeometric": (9, 8, 7),
    "integers": (1000,),
    "logseries": (0.5,),
    "multinomial": (9, [0.3, 0.7]),
    "multivariate_hypergeometric": ([9, 8, 7], 6),
    "multivariate_normal": ([0.0, 1.0], [[1.0, 0.2], [0.2, 1.0]]),
    "negative_binomial": (3, 0.4),
    "noncentral_chisquare": (3.0, 1.0),
    "noncentral_f": (3.0, 4.0, 1.0),
    "pareto": (3.0,),
    "permutation": (9,),
    "permuted": (np.arange(9),),
    "power": (3.0,),
    "rayleigh": (),
    "shuffle": (),
    "standard_gamma": (2.0,),
    "standard_t": (3.0,),
    "triangular": (0.0, 1.0, 2.0),
    "vonmises": (0.0, 1.0),
    "wald": (1.0, 2.0),
    "weibull": (2.0,),
    "zipf": (3.0,),
}
N, STEPS = 3, 2


def drawn(name, rng):
    """Returns what a draw of that kind gives, then a uniform number."""
    if name == "shuffle":
        order = np.arange(9)
        rng.shuffle(order)
        return repr((order, rng.random()))
    return repr((getattr(rng, name)(*ARGUMENTS.get(name, ())), rng.random()))


@pytest.mark.parametrize("name", DRAWS)
def test_each_episode_draws_what_it_would_side_by_side(name):
    rng = np.random.default_rng(0)
    expected = [[drawn(name, rng) for _ in range(N)] for _ in range(STEPS)]
    acts = in_turn(lambda x, o, t, rng: drawn(name, rng), np.random.default_rng(0), N)
    found = [[act(None, None, t) for t in range(STEPS)] for act in acts]
    assert [list(row) for row in zip(*found, strict=True)] == expected


def test_what_the_numbers_were_written_to_stays_as_it_is():
    kept, order = np.zeros(1), np.arange(9)

    def draw(x, o, t, rng):
        rng.standard_normal(out=kept)
        rng.shuffle(order)

    in_turn(draw, np.random.default_rng(0), N)[0](None, None, 0)
    rng, alone = np.random.default_rng(0), np.arange(9)
    assert kept == rng.standard_normal(1)
    rng.shuffle(alone)
    np.testing.assert_array_equal(order, alone)
