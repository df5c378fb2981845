"""Of the state that a method goes on from, no part may be missing, or be of another kind or
shape.
"""

import copy
from importlib import import_module

import numpy as np
import pytest
from test_numbers import World

from agents.planners import CEM, RewardWeighted
from dynamics import Ensemble, GaussianProcess, Linearised, Network
from lqr import CheckpointError, GPSError

NEURAL = {"policy_steps": 1, "hidden": (4,), "policy_kl_limit": 1e9}
PLAN = {"hidden": (4,), "fit_steps": 1, "horizon": 2}
CASES = {
    "badmm": ("gps.badmm", NEURAL),
    "badmm, recurrent": ("gps.badmm", {**NEURAL, "policy": "recurrent"}),
    "mdgps, nn": (
        "gps.mdgps",
        {**NEURAL, "policy": "mlp_std", "prior": Linearised(Network((4,), 1))},
    ),
    "pilqr_gps, ensemble": ("gps.pilqr_gps", {**NEURAL, "prior": Linearised(Ensemble(2, (4,), 1))}),
    "lqr_flm, gp": ("gps.lqr_flm", {"prior": Linearised(GaussianProcess(9, 9, 99, 1))}),
    "pilqr, previous": ("gps.pilqr", {"prior": "previous"}),
    "pi2": ("gps.pi2", {}),
    "pigps": ("gps.pigps", NEURAL),
    "reset_free": ("gps.reset_free", {**NEURAL, "clusters": 2}),
    "ilqg_ld": ("gps.ilqg_ld", {"model": "gp", "plan_iterations": 1, "guesses": 0}),
    "ilqg_gps": (
        "gps.ilqg_gps",
        {"model": "gp", "plan_iterations": 1, "plan_starts": 2, "policy_steps": 1, "hidden": (4,)},
    ),
    "pets": ("agents.mpc.pets", {**PLAN, "planner": CEM(4, 2, 1)}),
    "pddm, nn": ("agents.mpc.pddm", {**PLAN, "planner": RewardWeighted(4), "model": "nn"}),
}
REFUSED = (
    CheckpointError,
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
)  # by the runner, as damaged


def leaves(tree, path=()):
    """Yields the path to each part of a tree."""
    for key, value in tree.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))


def damaged(value):
    """Yields what may not stand in the place of a value."""
    yield None
    if isinstance(value, np.ndarray):
        yield value[..., None]
        yield value.astype(np.float32 if value.dtype == float else complex)
        yield value.tolist()
    else:
        yield "another" if not isinstance(value, str) else 7
        yield np.zeros(3)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_a_state_with_a_part_that_is_missing_or_of_another_kind_is_refused(case):
    module, settings = CASES[case]
    method, task = import_module(module), World(2, 5, 2, 1)
    config = method.Config(**{"iterations": 2, **settings})
    whole = next(method.train(task, config, np.random.default_rng(0))).state
    accepted = []
    for path in leaves(whole):
        *above, last = path
        for change in ("missing", "another name", *damaged(at(whole, path))):
            state = copy.deepcopy(whole)
            inner = at(state, above)
            if isinstance(change, str) and change in ("missing", "another name"):
                value = inner.pop(last)
                if change == "another name":
                    inner[f"{last}_"] = value
            else:
                inner[last] = change
            try:
                next(method.train(task, config, np.random.default_rng(0), state=state))
                accepted.append(("/".join(path), str(change)[:20]))
            except REFUSED:
                pass
            except GPSError as error:
                accepted.append(("/".join(path), str(change)[:20], type(error).__name__))
    assert accepted == []


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree
