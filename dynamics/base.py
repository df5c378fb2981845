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

from .normal_inverse_wishart import checked
from .normaliser import FORM, Normaliser
from .numbers import count
from .outliers import inliers
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


class ChangeModel(ABC):
    """The part that the library's own models share. They add `_fit`, `_predict` and `_tangent`, in
    standard units.
    """

    word = ""  # in MODELS
    careful = True  # it writes to nothing that it gets; see `asking`
    reject_outliers = True  # whether gross outliers are left out of the fit
    rare: tuple[int, ...] = ()  # coordinates of x that are not looked at for outliers

    def __init__(self, **settings: Any):
        self.settings = settings  # numbers and tuples of numbers, as `save` writes them
        self.normaliser: Normaliser | None = None
        self.rejected = np.zeros(0, bool)  # (M,), the outliers that the last fit left out

    def take_rare(self, rare: tuple[int, ...]) -> None:
        """Sets which coordinates of x (0 to dx - 1) are not looked at for outliers."""
        self.rare = tuple(count("each of rare", i, 0) for i in rare)
        if self.rare:
            self.settings["rare"] = self.rare

    def fit(self, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
        """Learns from all transitions that are kept, (M, dx), (M, du), (M, dx), of which earlier
        ones come first.

        Gross outliers are left out, so that an impact does not bend the model elsewhere;
        `rejected` tells which. Where x holds a reward, or the place of an object that is seldom
        pushed, rare jumps are what is to be learned: list these coordinates in `rare`. Raises
        InputError where shapes do not fit or a number is not finite.
        """
        z, y = checked(x, u, xnext)
        before = self.normaliser
        if before is not None and (len(before.mean), len(before.change_mean)) != (
            z.shape[1],
            y.shape[1],
        ):
            sizes = f"{y.shape[1]} and {z.shape[1] - y.shape[1]}"
            was = f"{len(before.change_mean)} and {len(before.mean) - len(before.change_mean)}"
            raise InputError(
                f"states and actions have {sizes} numbers; expected {was}, as at the first fit"
            )
        wrong = [i for i in self.rare if i not in range(y.shape[1])]
        if wrong:
            raise InputError(
                f"rare has the coordinates {wrong} of x; expected 0 to {y.shape[1] - 1}"
            )
        inlier = inliers(z, y, self.rare) if self.reject_outliers else np.ones(len(z), bool)
        self.rejected = ~inlier
        self.normaliser = normaliser = Normaliser.of(z[inlier], y[inlier])
        self._fit(
            (z - normaliser.mean) * normaliser.inverse_std,
            (y - normaliser.change_mean) / normaliser.change_std,
            inlier,
            before,
            rng,
        )

    def predict(self, x: Array, u: Array) -> Gaussian:
        """Returns the distribution of x': mean (..., dx), and total covariance (..., dx, dx)."""
        z, normaliser = self._ask(x, u)
        mean, cov = self._predict(z)
        mean = x + (normaliser.change_mean + normaliser.change_std * mean).reshape(np.shape(x))
        cov = cov * normaliser.change_std[:, None] * normaliser.change_std
        return Gaussian(mean, cov.reshape(*np.shape(x), np.shape(x)[-1]))

    def mean(self, x: Array, u: Array) -> Array:
        """Returns the predicted mean of x' (..., dx) alone, which costs less than `predict`."""
        z, normaliser = self._ask(x, u)
        return x + (normaliser.change_mean + normaliser.change_std * self._mean(z)).reshape(
            np.shape(x)
        )

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

    def known(self, x: Array, u: Array) -> Normaliser:
        """Returns the normaliser. Raises InputError before the first fit, and for points of another
        shape.
        """
        if self.normaliser is None:
            raise InputError(f"the model {self.word!r} has seen nothing; fit it first")
        n, dx = len(self.normaliser.mean), len(self.normaliser.change_mean)
        if np.shape(x)[-1:] != (dx,) or np.shape(u) != (*np.shape(x)[:-1], n - dx):
            raise InputError(
                f"x has shape {np.shape(x)}, u {np.shape(u)}; expected (..., {dx}) and (..., {n - dx})"
            )
        return self.normaliser

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree of finite arrays and numbers; empty before
        the first fit.
        """
        return (
            {}
            if self.normaliser is None
            else {"normaliser": self.normaliser._asdict(), **self._state()}
        )

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned, under the same settings. Raises CheckpointError for
        anything else.
        """
        if state:
            check_tree(state, {"normaliser": FORM, **self._form()}, self.word)
            self.normaliser = Normaliser(**state["normaliser"])
            self._load({key: value for key, value in state.items() if key != "normaliser"})

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

    def _ask(self, x: Array, u: Array) -> tuple[Array, Normaliser]:
        """Returns the standardised points, (M, n)."""
        normaliser = self.known(x, u)
        z = np.concatenate([x, u], -1, dtype=float).reshape(-1, len(normaliser.mean))
        return (z - normaliser.mean) * normaliser.inverse_std, normaliser

    def _real(self, J: Array, shape: tuple[int, ...]) -> Array:
        """Returns standardised Jacobians of the change (..., M, dx, n) as those of x'; `shape` is
        that of x.
        """
        assert self.normaliser is not None
        dx = shape[-1]
        J = J * self.normaliser.change_std[:, None] * self.normaliser.inverse_std
        J[..., range(dx), range(dx)] += 1.0
        return J.reshape(*J.shape[:-3], *shape, J.shape[-1])

    @abstractmethod
    def _fit(
        self, z: Array, y: Array, inlier: Array, before: Normaliser | None, rng: np.random.Generator
    ) -> None:
        """Learns from the rows of z (M, n) and y (M, dx) that are `inlier` (M,), standardised; so
        far they were by `before`.
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
