"""A task seen through an encoder is a task: its state x is a code, so that every method runs in
code space unchanged.

    task = Encoded(PointMass(), LinearEncoder(A))            # codes of the state
    task = Encoded(task, encoder, sees="o", cost=of_codes)   # codes of the observation

The physics, the starts, the ends and what a policy sees stay those of the task that is encoded. So
does the cost, where the encoder tells which state a code stands for: it is that of the decoded
states. Otherwise a cost of codes is to be given.
"""

from typing import Any, Literal, Protocol

import numpy as np

from dynamics.numbers import count
from lqr import InputError, QuadraticCost
from lqr.user_functions import guarded, real

from ...interfaces import Array, Cost
from ..base.wrapper import Wrapper


class Encoder(Protocol):
    """Makes a code of what is seen."""

    d: int  # numbers of a code

    def __call__(self, seen: Array) -> Array:
        """Returns the codes (..., d) of states or observations (..., size)."""
        ...


class Decoder(Protocol):
    """What an encoder may offer as well: an affine way back, seen = basis @ code + offset."""

    basis: Array  # (size, d)
    offset: Array  # (size,)


class LinearEncoder:
    """Codes are matrix @ (seen - centre); the way back is exact where the matrix is invertible."""

    def __init__(self, matrix: Array, centre: Array | float = 0.0):
        """`matrix` (d, size), `centre` (size,) or a number. Raises InputError for a matrix that is
        not of full rank, or is not finite.
        """
        self.matrix = np.array(matrix, dtype=float)
        if self.matrix.ndim != 2 or not np.isfinite(self.matrix).all():
            raise InputError(
                f"got an encoder of shape {self.matrix.shape}; expected a finite matrix (d, size)"
            )
        self.d, size = self.matrix.shape
        if (rank := np.linalg.matrix_rank(self.matrix)) < min(self.d, size):
            raise InputError(
                f"got an encoder of rank {rank}; expected {min(self.d, size)}: leave out rows that say nothing new"
            )
        self.offset = np.broadcast_to(np.asarray(centre, dtype=float), (size,)).copy()
        self.exact = self.d >= size  # no two states share a code
        self.basis = np.linalg.pinv(self.matrix) if self.d != size else np.linalg.inv(self.matrix)

    def __call__(self, seen: Array) -> Array:
        """Returns the codes (..., d)."""
        return (seen - self.offset) @ self.matrix.T


class DecodedCost:
    """The cost of the states that codes stand for: x = basis @ z + offset."""

    def __init__(self, cost: Cost, basis: Array, offset: Array):
        self.cost, self.basis, self.offset = cost, basis, offset

    def decode(self, Z: Array) -> Array:
        """Returns the states (..., dx) of codes (..., d)."""
        return Z @ self.basis.T + self.offset

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1), of codes X (..., T+1, d)."""
        return self.cost(self.decode(X), U)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the second-order expansion around each trajectory, in absolute coordinates zu."""
        C, c, const = self.cost.expand(self.decode(X), U)
        (size, d), du = self.basis.shape, U.shape[-1]
        M = np.zeros((size + du, d + du))
        M[:size, :d], M[size:, d:] = self.basis, np.eye(du)
        m = np.concatenate([self.offset, np.zeros(du)])
        at_zero = C @ m + c  # the gradient where the code is 0
        return QuadraticCost(M.T @ C @ M, at_zero @ M, const + ((0.5 * (C @ m) + c) * m).sum(-1))


class Encoded(Wrapper):
    """The task whose x is the encoder's code of its state ("x") or of its observation ("o")."""

    # what is known of the task's states is not known of codes
    manifold = simulator = joints = joint_target = plane = targets = None
    project = observation_of = ended = to_physical = to_qpos_qvel = copy = None
    planning_cost = tuning_cost = state_names = None

    def __init__(
        self,
        task: Any,
        encoder: Encoder,
        sees: Literal["x", "o"] = "x",
        cost: Cost | None = None,
    ):
        """`cost` is one of codes; None is the task's own, of decoded states, which needs an encoder
        of states that no two of them share a code of. Raises InputError for another.
        """
        super().__init__(task)
        if sees not in ("x", "o"):
            raise InputError(f"got sees={sees!r}; expected 'x', the state, or 'o', the observation")
        self.encoder, self.sees = encoder, sees
        self.name, self.dx = f"encoded:{task.name}", count("the encoder's d", encoder.d)
        decodes = sees == "x" and getattr(encoder, "exact", False)
        self.decoded = DecodedCost(task.cost, *self._way_back()) if decodes else None
        if cost is None and self.decoded is None:
            raise InputError(
                f"{self.name}: got codes that do not tell the state of {task.name}; expected a cost of codes, cost="
            )
        self.cost: Cost = cost or self.decoded  # type: ignore[assignment]

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i in condition conditions[i]; returns codes (B, d)."""
        return self._code(self.task.reset(conditions, rng))

    def step(self, u: Array) -> Array:
        """Applies u (B, du); returns codes (B, d)."""
        return self._code(self.task.step(u))

    def held_out(self) -> "Encoded":
        """Returns the task in conditions that training does not see, encoded alike."""
        own = None if self.cost is self.decoded else self.cost
        return Encoded(self.task.held_out(), self.encoder, self.sees, own)  # type: ignore[arg-type]

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the task's numbers of the decoded states, (N,) each; none where they are not
        known.
        """
        return self.task.metrics(self.decoded.decode(x), u) if self.decoded else {}

    def _code(self, x: Array) -> Array:
        name = f"the encoder of {self.task.name}"
        seen = np.array(x if self.sees == "x" else self.task.observe())
        known = np.isfinite(seen).reshape(len(seen), -1).all(1)  # others have diverged
        code = real(name, guarded(name, self.encoder)(seen), (len(seen), self.dx))
        real(name, code[known], (int(known.sum()), self.dx), finite=True)
        return code

    def _way_back(self) -> tuple[Array, Array]:
        """Returns basis and offset. Raises InputError for what is no way back to states."""
        exact: Any = self.encoder
        shapes = {"basis": (self.task.dx, self.dx), "offset": (self.task.dx,)}
        basis, offset = (
            real(f"the encoder's {name}", getattr(exact, name, None), shape, finite=True)
            for name, shape in shapes.items()
        )
        return basis, offset
