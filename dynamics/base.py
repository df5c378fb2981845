"""Global models: one function of [x; u] for the whole state space, with its uncertainty and its
tangent.

Local models ask for the tangent (`Linearised`), planners for predictions and samples. What the
library's own models share stands here: they learn the change of state x' - x over standardised [x;
u], and are saved in verified folders.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from lqr import CheckpointError, Gaussian, InputError

from .priors.normal_inverse_wishart import checked
from .storage.tree import check_tree, load_tree, save_tree

Array = np.ndarray


class Tangent(NamedTuple):
    """x' is about N(mean + jacobian d[x; u], noise) near the point that was asked for."""

    mean: Array  # (..., dx)
    jacobian: Array  # (..., dx, n), of x' with respect to [x; u]
    noise: Array  # (..., dx, dx), the model's total uncertainty there


class Model(Protocol):
    """What a global model can do; any leading axes. One with `tangents`, as an ensemble, also tells
    how sure it is.
    """

    def fit(self, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
        """Learns from all transitions that are kept, (M, dx), (M, du), (M, dx); earlier ones come
        first.

        A model that remembers something of each may have `forget(count)`: the first so many are
        given no more.
        """
        ...

    def predict(self, x: Array, u: Array) -> Gaussian:
        """Returns the distribution of x', mean (..., dx) and cov (..., dx, dx), for x (..., dx) and
        u (..., du).
        """
        ...

    def sample(self, x: Array, u: Array, rng: np.random.Generator) -> Array:
        """Returns a draw of x' (..., dx)."""
        ...

    def linearise(self, x: Array, u: Array) -> Tangent:
        """Returns the exact tangent of the predicted mean."""
        ...

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree of finite arrays and numbers."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned."""
        ...


class Units(NamedTuple):
    """Centre and spread of the inputs [x; u] and of the changes of state; `rate` is 1 / spread, 0
    for a constant.
    """

    centre: Array  # (n,)
    rate: Array  # (n,)
    change: Array  # (dx,), mean of x' - x
    spread: Array  # (dx,), of x' - x, above 0

    @classmethod
    def of(cls, z: Array, y: Array) -> "Units":
        """Returns the units of inputs (M, n) and changes (M, dx). Scaling a coordinate scales its
        units, no more.
        """
        std, size = z.std(0), np.abs(z).max(0)
        varies = std > 1e-9 * size  # a constant column has a spread of rounding errors
        rate = np.where(varies, 1 / np.where(varies, std, 1.0), 0.0)
        dx = y.shape[1]
        width = np.where(varies, std, size)[:dx]
        spread = np.maximum(
            y.std(0), (1e-6 if len(z) > 9 else 0.1) * width
        )  # a few changes tell nothing of their spread
        return cls(z.mean(0), rate, y.mean(0), np.where(spread > 0, spread, 1e-6))


class ChangeModel(ABC):
    """The part that the library's own models share. They add `_fit`, `_predict` and `_tangent`, in
    standard units.
    """

    word = ""  # in MODELS
    screen = True  # whether gross outliers are left out of the fit

    def __init__(self, **settings: Any):
        self.settings = settings  # numbers and tuples of numbers, as `save` writes them
        self.units: Units | None = None

    def fit(self, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
        """Learns from all transitions that are kept, (M, dx), (M, du), (M, dx), of which earlier
        ones come first.

        Raises InputError where shapes do not fit or a number is not finite.
        """
        z, y = checked(x, u, xnext)
        before = self.units
        if before is not None and (len(before.centre), len(before.change)) != (
            z.shape[1],
            y.shape[1],
        ):
            sizes = f"{y.shape[1]} and {z.shape[1] - y.shape[1]}"
            was = f"{len(before.change)} and {len(before.centre) - len(before.change)}"
            raise InputError(
                f"states and actions have {sizes} numbers; expected {was}, as at the first fit"
            )
        usual = ordinary(z, y) if self.screen else np.ones(len(z), bool)
        self.units = units = Units.of(z[usual], y[usual])
        self._fit(
            (z - units.centre) * units.rate, (y - units.change) / units.spread, usual, before, rng
        )

    def predict(self, x: Array, u: Array) -> Gaussian:
        """Returns the distribution of x': mean (..., dx), and total covariance (..., dx, dx)."""
        z, units = self._ask(x, u)
        mean, cov = self._predict(z)
        mean = x + (units.change + units.spread * mean).reshape(np.shape(x))
        cov = cov * units.spread[:, None] * units.spread
        return Gaussian(mean, cov.reshape(*np.shape(x), np.shape(x)[-1]))

    def mean(self, x: Array, u: Array) -> Array:
        """Returns the predicted mean of x' (..., dx) alone, which costs less than `predict`."""
        z, units = self._ask(x, u)
        return x + (units.change + units.spread * self._mean(z)).reshape(np.shape(x))

    def jacobian(self, x: Array, u: Array) -> Array:
        """Returns the exact derivatives of the predicted mean alone, (..., dx, n)."""
        return self._real(self._tangent(self._ask(x, u)[0]), np.shape(x))

    def sample(self, x: Array, u: Array, rng: np.random.Generator) -> Array:
        """Returns a draw of x' (..., dx)."""
        mean, cov = self.predict(x, u)
        noise = rng.standard_normal(mean.shape)
        return mean + np.einsum("...ij,...j->...i", np.linalg.cholesky(cov), noise)

    def linearise(self, x: Array, u: Array) -> Tangent:
        """Returns the exact tangent of the predicted mean: (..., dx), (..., dx, n) and the
        covariance.
        """
        z, _ = self._ask(x, u)
        mean, cov = self.predict(x, u)
        return Tangent(mean, self._real(self._tangent(z), np.shape(x)), cov)

    def known(self, x: Array, u: Array) -> Units:
        """Returns the units. Raises InputError before the first fit, and for points of another
        shape.
        """
        if self.units is None:
            raise InputError(f"the model {self.word!r} has seen nothing; fit it first")
        n, dx = len(self.units.centre), len(self.units.change)
        if np.shape(x)[-1:] != (dx,) or np.shape(u) != (*np.shape(x)[:-1], n - dx):
            raise InputError(
                f"x has shape {np.shape(x)}, u {np.shape(u)}; expected (..., {dx}) and (..., {n - dx})"
            )
        return self.units

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree of finite arrays and numbers; empty before
        the first fit.
        """
        return {} if self.units is None else {"units": self.units._asdict(), **self._state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned, under the same settings. Raises CheckpointError for
        anything else.
        """
        if state:
            units = {"centre": ("n",), "rate": ("n",), "change": ("dx",), "spread": ("dx",)}
            check_tree(state, {"units": units, **self._form()}, self.word)
            self.units = Units(**state["units"])
            self._load({key: value for key, value in state.items() if key != "units"})

    def save(self, folder: str | Path) -> None:
        """Writes the model as a verified folder, in place of one of that name."""
        save_tree(folder, self.state(), {"model": self.word, "settings": self.settings})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Returns the model that `save` wrote. Raises CheckpointError for any other folder."""
        tree, meta = load_tree(folder)
        if meta.get("model") != cls.word:
            raise CheckpointError(
                f"{folder}: got a model {meta.get('model')!r}, expected {cls.word!r}"
            )
        model = cls(
            **{key: tuple(v) if isinstance(v, list) else v for key, v in meta["settings"].items()}
        )
        model.load_state(tree)
        return model

    def _ask(self, x: Array, u: Array) -> tuple[Array, Units]:
        """Returns the standardised points, (M, n)."""
        units = self.known(x, u)
        z = np.concatenate([x, u], -1, dtype=float).reshape(-1, len(units.centre))
        return (z - units.centre) * units.rate, units

    def _real(self, J: Array, shape: tuple[int, ...]) -> Array:
        """Returns standardised Jacobians of the change (..., M, dx, n) as those of x'; `shape` is
        that of x.
        """
        assert self.units is not None
        dx = shape[-1]
        J = J * self.units.spread[:, None] * self.units.rate
        J[..., range(dx), range(dx)] += 1.0
        return J.reshape(*J.shape[:-3], *shape, J.shape[-1])

    @abstractmethod
    def _fit(
        self, z: Array, y: Array, usual: Array, before: Units | None, rng: np.random.Generator
    ) -> None:
        """Learns from the rows of z (M, n) and y (M, dx) that are `usual` (M,), known in the units
        `before` so far.
        """

    @abstractmethod
    def _predict(self, z: Array) -> tuple[Array, Array]: ...

    def _mean(self, z: Array) -> Array:
        return self._predict(z)[0]

    @abstractmethod
    def _tangent(self, z: Array) -> Array: ...

    @abstractmethod
    def _state(self) -> dict[str, Any]: ...

    @abstractmethod
    def _form(self) -> dict[str, Any]:
        """Returns the shapes of what `_state` returns, as `check_tree` takes them."""

    @abstractmethod
    def _load(self, state: dict[str, Any]) -> None: ...


def ordinary(z: Array, y: Array) -> Array:
    """Returns which transitions are not gross outliers, such as the blow of a joint against its
    limit, (M,) bool.

    A smooth model that had to pass through a jump would bend everywhere. Left out is what departs
    from the linear least-squares fit to the others by twenty times as much as 98 of 100 transitions
    do, and by more than the spread of all changes. So fewer than one in fifty is left out, and none
    of a Gaussian sample.
    """
    keep = np.ones(len(z), bool)
    if len(z) < 50:
        return keep
    scale = np.maximum(z.std(0), 1e-9 * np.maximum(np.abs(z).max(0), 1e-300))
    features = np.concatenate([np.ones((len(z), 1)), (z - z.mean(0)) / scale], 1)
    for _ in range(3):
        F = features[keep]
        w = np.linalg.solve(F.T @ F + 1e-9 * len(F) * np.eye(F.shape[1]), F.T @ y[keep])
        gap = np.abs(y - features @ w)
        limit = np.maximum(
            20 * np.percentile(gap, 98, axis=0), np.maximum(y[keep].std(0), 1e-9 * np.abs(y).max(0))
        )
        keep = (gap <= limit).all(1)
    return keep
