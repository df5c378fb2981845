"""Whether the derivatives of a user's cost can be had: asked once, when it is made.

Values are noisy by rounding, far more so where a function computes in single precision. How noisy
they are is seen in the fourth differences of values so close together that a smooth function is a
straight line there (More and Wild, Estimating Computational Noise, 2011).
"""

import warnings
from collections.abc import Callable

import numpy as np

from lqr import InputError
from lqr.expansion import Cost, stack

Array = np.ndarray
NEAR = 1e-6  # distance of the values that tell the noise, in units of each number
FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])  # whose squares add up to 70
STEPS = 16  # of a walk along a coordinate, from -2 to 2
HALVINGS = 40  # of a step of that walk, which is then as small as rounding


def noise_of(rows: Callable[[Array], Array], z: Array, rounding: float) -> float:
    """Returns the noise of values rows(z) (M,) at points z (M, n), in units of how much they differ
    from one another; 0 where they are one number throughout. It is at least that of numbers with
    a relative `rounding`, where that is more than float64's.
    """
    direction = np.where(np.arange(z.shape[1]) % 2, -1.0, 1.0) * np.maximum(np.abs(z), 1.0)
    table = np.stack([rows(z + k * NEAR * direction) for k in range(5)], -1)
    noise = float(np.sqrt(((table @ FOURTH) ** 2).mean() / 70.0))
    varies = float(table[:, 0].std())
    if rounding > np.finfo(float).eps:
        noise = max(noise, 0.25 * rounding * float(np.abs(table).max()))
    return noise / varies if varies else float(noise > 0.0)


def disagreement(
    given: Array, found: Array, tolerance: float, values: Array
) -> tuple[int, ...] | None:
    """Returns the place (...) where the given derivatives (M, ...) are not those found, in most of
    the M points, so that a kink or two do not count; None where there is none. What is small beside
    the differences of the values does not count either.
    """
    floor = 1e-3 * float(np.std(values)) + 1e-9 * float(np.abs(values).max()) + 1e-300
    near = tolerance * np.maximum(np.abs(given), np.abs(found)) + floor
    off = (np.abs(given - found) > near).mean(0) > 0.5
    return tuple(int(i) for i in np.argwhere(off)[0]) if off.any() else None


def stepped(
    rows: Callable[[Array], Array], slope: Callable[[Array, int], Array], z: Array
) -> int | None:
    """Returns a coordinate in which values rows(z) (M,) jump and are flat between the jumps; None
    where there is none. `slope(z, i)` returns the derivatives (M,) by coordinate i.
    """
    for i in range(z.shape[1]):
        for start in z:
            walk = np.tile(start, (STEPS + 1, 1))
            walk[:, i] = np.linspace(-1.97, 2.03, STEPS + 1)  # halves are where things are rounded
            values = rows(walk)
            k = int(np.argmax(np.abs(np.diff(values))))
            change = abs(values[k + 1] - values[k])
            if not change or (slope(walk, i) != 0.0).mean() > 0.1:
                continue
            ends = walk[k : k + 2].copy()
            for _ in range(HALVINGS):
                middle = ends.mean(0)
                low, mid, high = rows(np.stack([ends[0], middle, ends[1]]))
                ends[0 if abs(high - mid) > abs(mid - low) else 1] = middle
            low, high = rows(ends)
            if abs(high - low) > 0.3 * change:
                return i
    return None


def check_expansion(cost: Cost, x: Array, u: Array, horizon: int, name: str) -> None:
    """Compares what a user's `expand` says near the state x (dx,) and the action u (du,) with
    differences of the cost. Raises InputError for another value or slope, and warns of another
    curvature, which may be meant: a convex one, for instance.
    """
    rng = np.random.default_rng(0)
    X = x + 0.1 * np.maximum(1.0, np.abs(x)) * rng.normal(size=(2, horizon + 1, len(x)))
    U = u + 0.1 * np.maximum(1.0, np.abs(u)) * rng.normal(size=(2, horizon, len(u)))
    dX, dU = rng.normal(size=X.shape), rng.normal(size=U.shape)
    found = {h: cost(X + h * dX, U + h * dU) for h in (-1e-2, -1e-3, 0.0, 1e-3, 1e-2)}
    if not all(np.isfinite(values).all() for values in found.values()):
        return  # the task's own states will tell
    C, c, const = cost.expand(X, U)
    z, d = stack(X, U), stack(dX, dU)
    Cz = (C @ z[..., None])[..., 0]
    said = {
        "value": (((0.5 * Cz + c) * z).sum(-1) + const, found[0.0], 1e-3),
        "slope": (((Cz + c) * d).sum(-1), (found[1e-3] - found[-1e-3]) / 2e-3, 0.02),
        "curvature": (
            (d * (C @ d[..., None])[..., 0]).sum(-1),
            (found[1e-2] - 2 * found[0.0] + found[-1e-2]) / 1e-4,
            0.1,
        ),
    }
    for what, (given, differences, tolerance) in said.items():
        if disagreement(given.reshape(-1, 1), differences.reshape(-1, 1), tolerance, found[0.0]):
            told = f"a {what} of {given[0, 0]:.6g}, where its values say {differences[0, 0]:.6g}"
            if what != "curvature":
                raise InputError(
                    f"{name}.expand(X, U) says {told}; expected its expansion in absolute coordinates xu: C = H, "
                    "c = g - H xu, const = value - g xu + xu H xu / 2"
                )
            warnings.warn(
                f"{name}.expand(X, U) says {told}; expected the second derivatives, unless others are meant",
                stacklevel=4,
            )
