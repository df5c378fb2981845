"""A cost that a user wrote as one function of a step, in torch or in NumPy; its expansion is found
for it.

    def cost(x, u):             # x (M, dx), u (M, du); M steps of any episodes, row by row
        return (x[:, 0] - 1) ** 2 + 0.1 * (u**2).sum(-1)            # (M,)

A third argument, t (M,), is the step, 0..T; there is no action at step T, so u is 0 there. What
takes torch's tensors and returns one is differentiated by autograd, twice and exactly. Anything
else gets NumPy arrays and is differentiated by central differences, whose steps are DIFFERENCE
times the size of each number, or of 1 where that is smaller; longer ones where the function
computes with fewer digits. Derivatives of torch are compared with differences once, when the cost
is made, and one that jumps between flat pieces, as a count does, has values and no derivatives.
"""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from dynamics.numbers import count
from lqr import GPSError, InputError, QuadraticCost
from lqr.expansion import absolute, stack
from lqr.user_functions import described

from ...interfaces import Cost
from ..base.wrapper import Wrapper
from .derivatives import disagreement, noise_of, stepped

Array = np.ndarray
Rows = Callable[[Array, Array], Array]  # xu (M, n), t (M,) -> cost (M,)
DIFFERENCE = 1e-4
EXACT, NOISY = 1e-12, 1e-3  # noise of values that is none, and of which no derivatives can be had
REMEDY = "return one number per row, computed from that row alone"


class UserCost:
    """A `Cost` of the function, for states x (dx,) and actions u (du,); `name` is what messages
    call it.

    Raises InputError, at once or when it is met, where the function fails, returns another shape,
    mixes rows, its value or a derivative is not finite, or its derivatives are not those of its
    values.
    """

    careful = True  # it gets copies

    def __init__(self, function: Callable[..., Any], dx: int, du: int, name: str = "cost"):
        if not callable(function):
            raise InputError(
                f"{name} is a {type(function).__name__}; expected a function of x and u"
            )
        self.function = function
        self.dx = dx = count("dx", dx)
        self.du = du = count("du", du)
        self.name = name
        self.timed = _takes_time(function, name)
        self._noise = self._rounding = 0.0
        self.torch = self._is_torch()
        probe = np.random.default_rng(0).normal(size=(4, dx + du))
        together, alone = self._rows(probe, np.arange(4.0)), self._rows(probe[1:2], np.ones(1))
        if not np.allclose(together[1:2], alone, rtol=1e-6, atol=1e-9 * (1 + np.abs(alone).max())):
            raise InputError(
                f"{name} gives {together[1]} for a step among others, {alone[0]} for it alone; {REMEDY}"
            )
        self._difference = DIFFERENCE
        self._jumps: int | str | None = "unknown"  # the coordinate of xu in which it jumps
        self._compare()

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        xu, t = self._flat(X, U)
        return self._rows(xu.reshape(-1, xu.shape[-1]), t.ravel()).reshape(t.shape)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the second-order expansion in absolute coordinates xu; what depends on u is 0 at
        step T.
        """
        self._check_smooth()
        xu, t = self._flat(X, U)
        n = xu.shape[-1]
        derive = self._autograd if self.torch else self._differences
        value, g, H = derive(xu.reshape(-1, n), t.ravel())
        self._check_finite(xu.reshape(-1, n), g, H)
        value, g, H = value.reshape(t.shape), g.reshape(xu.shape), H.reshape(*xu.shape, n)
        g[..., -1, self.dx :] = 0.0
        H[..., -1, self.dx :, :] = H[..., -1, :, self.dx :] = 0.0
        return absolute(value, g, H, xu)

    def _flat(self, X: Array, U: Array) -> tuple[Array, Array]:
        xu = stack(X, U)
        return xu, np.broadcast_to(np.arange(float(xu.shape[-2])), xu.shape[:-1])

    def _call(self, xu: Any, t: Any) -> Any:
        x, u = xu[:, : self.dx], xu[:, self.dx :]
        return self.function(x, u, t) if self.timed else self.function(x, u)

    def _is_torch(self) -> bool:
        """Returns whether the function turns tensors into a tensor."""
        import torch

        ones = torch.ones(2, self.dx + self.du, dtype=torch.float64, requires_grad=True)
        try:
            return isinstance(self._call(ones, torch.ones(2, dtype=torch.float64)), torch.Tensor)
        except (Exception, SystemExit):
            return False  # NumPy's functions refuse such tensors; what else is wrong is said when it gets arrays

    def _rows(self, xu: Array, t: Array) -> Array:
        """Returns the cost of each row, (M,)."""
        if not self.torch:
            xu = xu.copy()  # what the function does to it stays with it
            return self._checked(self._guarded(xu, t.copy()), xu)
        import torch

        with torch.no_grad():
            return self._checked(self._guarded(torch.tensor(xu), torch.tensor(t)), xu)

    def _guarded(self, xu: Any, t: Any) -> Any:
        try:
            return self._call(xu, t)
        except (GPSError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{self.name} failed on x (M, {self.dx}) and u (M, {self.du}) with {described(error)}; "
                f"expected it to take arrays or tensors of these shapes: {REMEDY}"
            ) from error

    def _checked(self, value: Any, xu: Array) -> Array:
        try:
            value = np.asarray(value.detach() if hasattr(value, "detach") else value)
        except (TypeError, ValueError, RuntimeError) as error:  # ragged, or of another device
            raise InputError(
                f"{self.name} returned a {type(value).__name__}; expected {xu.shape[:1]}: {REMEDY}"
            ) from error
        if value.shape != xu.shape[:1] or value.dtype.kind not in "fiu":
            raise InputError(
                f"{self.name} returned shape {value.shape} of {value.dtype}; expected {xu.shape[:1]}: {REMEDY}"
            )
        if not np.isfinite(value).all():
            row = xu[int(np.argmin(np.isfinite(value)))]
            raise InputError(
                f"{self.name} is not finite at x = {row[: self.dx]}, u = {row[self.dx :]}; expected a number everywhere"
            )
        self._rounding = float(np.finfo(value.dtype).eps) if value.dtype.kind == "f" else 0.0
        return value.astype(float)

    def _autograd(self, xu: Array, t: Array) -> tuple[Array, Array, Array]:
        import torch

        z, n = torch.tensor(xu, requires_grad=True), xu.shape[-1]
        value = self._guarded(z, torch.tensor(t))
        now = self._checked(value, xu)
        g = _gradient(value.sum(), z)
        H = torch.stack([_gradient(g[:, i].sum(), z) for i in range(n)], 1).detach().numpy()
        return (
            now,
            g.detach().numpy(),
            0.5 * (H + np.swapaxes(H, -1, -2)),
        )

    def _differences(self, xu: Array, t: Array) -> tuple[Array, Array, Array]:
        n, value = xu.shape[-1], self._rows(xu, t)
        h = self._difference * np.maximum(np.abs(xu), 1.0)  # (M, n)
        h = (xu + h) - xu  # exactly what is added

        def at(*moved: tuple[int, float]) -> Array:
            point = xu.copy()
            for i, sign in moved:
                point[:, i] += sign * h[:, i]
            return self._rows(point, t)

        up, down = (np.stack([at((i, sign)) for i in range(n)], -1) for sign in (1.0, -1.0))
        H = np.empty((*xu.shape, n))
        for i in range(n):
            H[:, i, i] = (up[:, i] - 2 * value + down[:, i]) / h[:, i] ** 2
            for j in range(i):
                both = at((i, 1.0), (j, 1.0)) + at((i, -1.0), (j, -1.0)) + 2 * value
                mixed = both - up[:, i] - down[:, i] - up[:, j] - down[:, j]
                H[:, i, j] = H[:, j, i] = mixed / (2 * h[:, i] * h[:, j])
        return value, (up - down) / (2 * h), H

    def _compare(self) -> None:
        """Sets the step of differences by the noise of the values, and compares torch's derivatives
        with them.
        """
        xu, t = np.random.default_rng(1).normal(size=(7, self.dx + self.du)), np.arange(7.0)
        noise = noise_of(lambda z: self._rows(z, t), xu, self._rounding)
        if noise > EXACT:
            self._difference = max(DIFFERENCE, min(noise, NOISY) ** 0.25)
        self._noise = noise
        if not self.torch or noise > NOISY:
            return
        tolerance = 0.02 + 20 * np.sqrt(noise)
        values, slope, curvature = self._differences(xu, t)
        for what, given, found in zip(
            ("slope", "curvature"), self._autograd(xu, t)[1:], (slope, curvature), strict=True
        ):
            if place := disagreement(given, found, tolerance, values):
                raise InputError(
                    f"{self.name} has the {what} {given[0][place]:.6g} by torch, {found[0][place]:.6g} by differences "
                    f"of its values at x = {xu[0, : self.dx]}, u = {xu[0, self.dx :]}; expected torch's functions "
                    "throughout, without detach, item, numpy or round: or write it in NumPy"
                )

    def _check_smooth(self) -> None:
        """Raises InputError where derivatives are asked for, and the values tell none."""
        if self._noise > NOISY:
            raise InputError(
                f"{self.name} has values that are noisy, by {self._noise:.1g} of their differences, and so no "
                "derivatives; expected float64 throughout, or a method that plans by values, such as mpc"
            )
        if self._jumps == "unknown":
            xu = np.random.default_rng(2).normal(size=(2, self.dx + self.du))
            self._jumps = stepped(lambda z: self._rows(z, np.zeros(len(z))), self._slope, xu)
        if isinstance(self._jumps, int):
            i = self._jumps
            where = f"x[{i}]" if i < self.dx else f"u[{i - self.dx}]"
            raise InputError(
                f"{self.name} jumps in {where} and is flat between, so that its derivative says nothing; expected a "
                "smooth function: take a sigmoid for a step, or a method that plans by values, such as mpc"
            )

    def _slope(self, z: Array, i: int) -> Array:
        """Returns central differences (M,) in coordinate i at z (M, n)."""
        move = self._difference * (np.arange(z.shape[1]) == i)
        ahead, behind = (self._rows(z + side * move, np.zeros(len(z))) for side in (1.0, -1.0))
        return (ahead - behind) / (2 * self._difference)

    def _check_finite(self, xu: Array, g: Array, H: Array) -> None:
        sound = np.isfinite(g).all(-1) & np.isfinite(H).all((-1, -2))
        if not sound.all():
            row = xu[int(np.argmin(sound))]
            raise InputError(
                f"{self.name} has a derivative that is not finite at x = {row[: self.dx]}, u = {row[self.dx :]}; "
                "expected a smooth function: take sqrt(1e-5 + s) for a distance, where s is its square"
            )


class WithCost(Wrapper):
    """A task with another cost; all else, the numbers that it is judged by too, is the task's
    own.
    """

    tuning_cost: None = None  # nor is anything learned from another cost than this
    planning_cost: None = None  # or planned
    learned: None = None  # what was paid does not count
    reward: None = None

    def __init__(self, task: Any, cost: Cost):
        super().__init__(task)
        self.cost = cost


class WithGoal(WithCost):
    """A task with another goal, by whose cost alone it is judged."""

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns nothing: the task's own numbers are of its own goal."""
        return {}


def _gradient(value: Any, z: Any) -> Any:
    """Returns the derivatives of a sum over rows, (M, n), zero where it does not depend on z."""
    import torch

    if not value.requires_grad:
        return torch.zeros_like(z)
    (found,) = torch.autograd.grad(value, z, create_graph=True, materialize_grads=True)
    return found


def _takes_time(function: Callable[..., Any], name: str) -> bool:
    """Returns whether the function takes a third argument. Raises InputError where it takes neither
    two nor three.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled; it cannot be asked
        return False
    plain = [
        p
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    required = [p for p in plain if p.default is p.empty]
    if len(plain) >= 3 and len(required) <= 3 and (len(required) == 3 or plain[2].name == "t"):
        return True
    with contextlib.suppress(TypeError):
        signature.bind(None, None)
        return False
    raise InputError(
        f"{name} takes {signature}; expected (x, u), or (x, u, t) where the cost depends on the step"
    )
