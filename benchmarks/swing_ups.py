"""Whole solves of three swing-ups: ours, and crocoddyl's DDP in C++ with models in C++ and analytic
derivatives.

Both start from the rollout of the same actions and minimise the same cost of the same discrete
dynamics. The models of the peer are compiled here from `swing_ups.cpp`, which wants g++, crocoddyl
and the headers of Eigen (`pip install crocoddyl cmeel-eigen`, or their folder in EIGEN_INCLUDE);
without them its columns are empty. (crocoddyl's own free forward dynamics on Pinocchio drop gravity
in some versions: see tests/lqr/test_peers.py.)
"""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lqr import ilqr
from lqr.kernels.ilqr_backward import PAYS, count_steps

from .problems import measure, measure_each
from .systems import SYSTEMS

CLOSE = 1e-4  # the same cost: within this of the lower of both final costs, relative
STEP = {"pendulum": 0.05, "cartpole": 0.05, "arm": 0.02}  # seconds
MUST = {"pendulum": 2.5, "cartpole": 1.7, "arm": 1.7}  # times as fast as the peer
AIM = {"pendulum": 4.0, "cartpole": 2.5, "arm": 2.2}


def peer_library() -> Any:
    """Returns the compiled peer, or a string that says why there is none."""
    found = importlib.util.find_spec("crocoddyl")
    if found is None or found.origin is None:
        return "crocoddyl is not installed"
    parents = Path(found.origin).parents
    places = [p if p.name == "cmeel.prefix" else p / "cmeel.prefix" for p in parents]
    prefix = next((p for p in places if p.is_dir()), None)
    if prefix is None:
        return "crocoddyl did not come from PyPI, and so not with its headers"
    places = [
        os.environ.get("EIGEN_INCLUDE", ""),
        str(prefix / "include" / "eigen3"),
        "/usr/include/eigen3",
    ]
    eigen = next((p for p in places if p and (Path(p) / "Eigen" / "Core").exists()), None)
    if shutil.which("g++") is None or eigen is None:
        return "g++ or the headers of Eigen are missing"
    with tempfile.TemporaryDirectory() as folder:
        library, lib = str(Path(folder) / "swing_ups.so"), str(prefix / "lib")
        source = str(Path(__file__).with_name("swing_ups.cpp"))
        command = [
            "g++",
            "-O3",
            "-DNDEBUG",
            "-std=c++17",
            "-shared",
            "-fPIC",
            "-w",
            f"-I{prefix / 'include'}",
        ]
        command += [
            f"-I{eigen}",
            source,
            "-o",
            library,
            f"-L{lib}",
            "-lcrocoddyl",
            f"-Wl,-rpath,{lib}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"its models do not compile: {done.stderr[:300]}"
        peer = ctypes.CDLL(library)
    peer.make.restype, peer.run.restype = ctypes.c_void_p, ctypes.c_double
    return peer


def peer_solve(peer: Any, name: str) -> Callable[[int], tuple[float, int]]:
    """Returns the peer's solve: at most so many iterations -> cost, iterations."""
    system = SYSTEMS[name]
    (T, du), dx = system.U.shape, len(system.x0)
    w, last = np.diag(system.cost.C[0]), np.diag(system.cost.C[-1])
    goal = np.where(last > 0, -system.cost.c[-1] / np.where(last > 0, last, 1.0), 0.0)
    arrays = [np.ascontiguousarray(a, dtype=float) for a in (w, last, goal, system.x0, system.U)]
    pointers = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in arrays]
    task = ctypes.c_void_p(
        peer.make(list(STEP).index(name), T, dx, du, ctypes.c_double(STEP[name]), *pointers)
    )
    used = ctypes.c_int()

    def solve(iterations: int) -> tuple[float, int]:
        return peer.run(task, iterations, ctypes.byref(used)), used.value

    return solve


def first_within(costs: Callable[[int], float], bound: float, most: int) -> int:
    """Returns the fewest iterations whose cost is at most `bound`, by bisection."""
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if costs(middle) <= bound else (middle, high)
    return high


def rows(row: Callable[..., None], seconds: float) -> None:
    """Prints the table's rows: to the same cost, whole solves, and variants without a peer."""
    peer = peer_library()
    if isinstance(peer, str):
        print(f"swing-ups without the peer: {peer}")
    for name, (dynamics, jacobian, cost, x0, U, limit) in SYSTEMS.items():
        count_steps(len(x0), U.shape[-1], PAYS)  # as after many solves

        def ours(
            most: int = 500, p: Any = (dynamics, cost, x0, U), j: Any = jacobian, **options: Any
        ) -> Any:
            return ilqr(*p, **({"jacobian": j, "max_iterations": most} | options))

        r = ours()
        if not isinstance(peer, str):
            theirs = peer_solve(peer, name)
            end, most = theirs(1000)
            bound = min(end, float(r.cost)) * (1 + CLOSE)
            n, m = first_within(lambda i, s=ours: s(i).cost, bound, int(r.iterations)), first_within(
                lambda i, s=theirs: s(i)[0], bound, most
            )  # fmt: skip
            times = measure_each(
                [
                    lambda s=ours, n=n: s(n),
                    lambda s=theirs, m=m: s(m),
                    ours,
                    lambda s=theirs: s(1000),
                ],
                seconds,
            )
            what = f"{name} swing-up to cost {bound:.4f} us"
            row(what, *times[:2], (MUST[name], AIM[name]), f"crocoddyl C++, {n}, {m} iterations")
            row(
                "  ... until each stops by itself", *times[2:], None,
                f"cost {r.cost:.6f} and {end:.6f}, {r.iterations} and {most} iterations",
            )  # fmt: skip
        for what, options in {
            "analytic Jacobian": {},
            "Gauss-Newton": {"second_order": False},
            "differences": {"jacobian": None},
            "boxed": {"low": -limit, "high": limit},
            "DDP by differences": {"second_order": True, "jacobian": None},
        }.items():
            r = ours(**options)
            mine = measure(lambda s=ours, o=options: s(**o), seconds)
            row(
                f"{name}, {what} us",
                mine,
                None,
                None,
                f"cost {r.cost:.6f}, {r.iterations} iterations",
            )


def growth() -> None:
    """Prints the time of a solve in a batch, per problem."""
    s = SYSTEMS["pendulum"]
    for B in (1, 8, 64):
        x0 = s.x0 + 0.01 * np.random.default_rng(0).normal(size=(B, 2))
        ilqr(s.dynamics, s.cost, x0, s.U, jacobian=s.jacobian)
        times = []
        for _ in range(7):
            begin = time.process_time()
            ilqr(s.dynamics, s.cost, x0, s.U, jacobian=s.jacobian)
            times.append((time.process_time() - begin) / B)
        print(f"pendulum swing-up, batch of {B:3}: {1e6 * min(times):9.1f} us per problem")
