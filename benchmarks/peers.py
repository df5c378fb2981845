"""The peers that the tables compare with. Each is optional: a missing one is reported and
skipped.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

try:
    import crocoddyl
except ImportError:
    crocoddyl = None


def crocoddyl_backward(F: Any, f: Any, C: Any, c: Any) -> Callable[[], None] | None:
    """Returns crocoddyl's backward pass over one problem, arrays without batch axis; None if it is
    not installed.
    """
    if crocoddyl is None:
        return None
    T, dx, n = F.shape
    du = n - dx

    def model(F: Any, f: Any, C: Any, c: Any) -> Any:
        m = crocoddyl.ActionModelLQR(dx, du)
        none, zero = np.zeros((0, n)), np.zeros(0)  # no constraints
        m.setLQR(F[:, :dx].copy(), F[:, dx:].copy(), C[:dx, :dx].copy(), C[dx:, dx:].copy(), C[:dx, dx:].copy(),
                 none, none, f.copy(), c[:dx].copy(), c[dx:].copy(), zero, zero)  # fmt: skip
        return m

    terminal = model(np.zeros((dx, n)), np.zeros(dx), C[T], c[T])
    problem = crocoddyl.ShootingProblem(
        np.zeros(dx), [model(F[t], f[t], C[t], c[t]) for t in range(T)], terminal
    )
    solver = crocoddyl.SolverDDP(problem)
    X, U = [np.zeros(dx)] * (T + 1), [np.zeros(du)] * T
    solver.setCandidate(X, U, False)
    problem.calc(X, U)
    problem.calcDiff(X, U)
    solver.preg = solver.dreg = 0.0
    return solver.backwardPass
