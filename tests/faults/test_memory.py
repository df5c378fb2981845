"""A run ten times as long holds no more: what every method carries along is bounded, and the
checkpoint with it.
"""

import gc
import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from test_numbers import World

from agents.planners import CEM
from dynamics import (
    MODELS,
    Ensemble,
    GaussianMixturePrior,
    GaussianProcess,
    Linearised,
    Network,
    PreviousPrior,
)
from dynamics.storage.tree import save_tree

EARLY, LATE = 5, 50
NEURAL = {"policy_steps": 1, "hidden": (4,), "policy_kl_limit": 1e9}
MODEL = {
    "model": "ensemble",
    "history": 40,
    "hidden": (4,),
    "fit_steps": 1,
}  # 10 transitions in each iteration
PLAN = {**{k: v for k, v in MODEL.items() if k != "history"}, "capacity": 40, "horizon": 2}
CASES = {
    "badmm": ("gps.badmm", {**NEURAL, "prior": GaussianMixturePrior(window=40)}),
    "mdgps, nn": (
        "gps.mdgps",
        {**NEURAL, "forecasts": 1, "prior": Linearised(Network((4,), 1), window=40)},
    ),
    "pilqr_gps, ensemble": (
        "gps.pilqr_gps",
        {**NEURAL, "prior": Linearised(Ensemble(2, (4,), 1), window=40)},
    ),
    "lqr_flm, gp": ("gps.lqr_flm", {"prior": Linearised(GaussianProcess(9, 9, 99, 1), window=40)}),
    "pilqr, previous": ("gps.pilqr", {"prior": PreviousPrior(window=40)}),
    "pi2": ("gps.pi2", {}),
    "reset_free": (
        "gps.reset_free",
        {**NEURAL, "clusters": 2, "prior": GaussianMixturePrior(window=40)},
    ),
    "ilqg_ld": (
        "gps.ilqg_ld",
        {"model": "small", "history": 40, "plan_iterations": 1, "guesses": 0, "samples": 1},
    ),
    "ilqg_gps": (
        "gps.ilqg_gps",
        {
            "model": "small",
            "history": 40,
            "plan_starts": 2,
            "plan_iterations": 1,
            "policy_steps": 1,
        },
    ),
    "pets": ("agents.mpc.pets", {**PLAN, "planner": CEM(4, 2, 1)}),
}


def in_arrays():
    """Returns how many bytes NumPy holds."""
    gc.collect()  # cycles that are due to be freed are not held
    only = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([only]).traces)


@pytest.mark.parametrize("case", CASES)
def test_a_run_ten_times_as_long_holds_no_more_memory_and_saves_no_more(
    case, monkeypatch, tmp_path
):
    monkeypatch.setitem(MODELS, "small", lambda: Ensemble(2, (4,), 1))
    module, settings = CASES[case]
    method, task = import_module(module), World(2, 5, 2, 1)
    config = method.Config(**{"iterations": LATE, **settings})
    next(
        method.train(task, config, np.random.default_rng(0))
    )  # imports what it needs, which is not to be counted
    tracemalloc.start()
    try:
        held, saved = {}, {}
        for iteration in method.train(task, config, np.random.default_rng(0)):
            if iteration.number in (EARLY, LATE):
                held[iteration.number] = in_arrays(), tracemalloc.get_traced_memory()[0]
                save_tree(tmp_path / "c", {"state": iteration.state})
                saved[iteration.number] = (tmp_path / "c" / "arrays.safetensors").stat().st_size
    finally:
        tracemalloc.stop()
    (few, all_few), (many, all_many) = held[EARLY], held[LATE]
    assert many < 1.2 * few + 2_000, held
    assert all_many < all_few + 100_000, held
    assert saved[LATE] < 1.1 * saved[EARLY] + 1_000, saved
