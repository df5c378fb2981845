"""Models to plan in: the true simulator, or a learned model and how its uncertainty is carried
forward.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from dynamics import Model
from dynamics.asking import linearise, predict
from dynamics.propagation import propagate
from lqr import InputError, LinearGaussianDynamics
from lqr.user_functions import guarded, real

from ..interfaces import Array, Task
from ..tasks.capabilities import MujocoState, PhysicalState, Projected, capability


class PlanningModel(Protocol):
    """Where action sequences are tried in thought."""

    particles: int  # trajectories of each action sequence

    def roll(self, x0: Array, U: Array, t: int, rng: np.random.Generator) -> Array:
        """Returns states (N, P, H+1, dx) from x0 (dx,) at step t under U (N, H, du); NaN where one
        diverges.
        """
        ...

    def step(self, x: Array, u: Array, t: int = 0) -> Array:
        """Returns the mean of x' (..., dx) after step t."""
        ...

    def jacobian(self, X: Array, U: Array, t: int = 0) -> Array:
        """Returns the derivatives of `step`, (..., H, dx, n), at X (..., H, dx), U (..., H, du),
        steps t, t + 1 ...
        """
        ...


class LearnedModel:
    """A model of `dynamics`, and how trajectories are drawn from it; see
    `dynamics.propagation.propagate`.
    """

    def __init__(self, dynamics: Model, propagation: str = "mean", particles: int = 1):
        self.dynamics, self.propagation, self.particles = dynamics, propagation, particles

    @staticmethod
    def of(task: Task, model: Model) -> "LearnedModel":
        """Returns the planning model of a dynamics model of this task; where the task tells which
        states are possible, `ProjectedModel`.
        """
        told = capability(task, Projected)
        return ProjectedModel(model, told.project) if told else LearnedModel(model)

    def roll(self, x0: Array, U: Array, t: int, rng: np.random.Generator) -> Array:
        """Returns states (N, P, H+1, dx)."""
        return propagate(self.dynamics, x0, U, rng, self.propagation, self.particles)

    def step(self, x: Array, u: Array, t: int = 0) -> Array:
        """Returns the predicted mean of x' (..., dx), whatever the step."""
        alone: Any = getattr(
            self.dynamics, "mean", None
        )  # the library's own models tell it without the uncertainty
        return predict(self.dynamics, x, u).mean if alone is None else alone(x, u)

    def jacobian(self, X: Array, U: Array, t: int = 0) -> Array:
        """Returns the derivatives of the predicted mean, (..., dx, n)."""
        alone: Any = getattr(self.dynamics, "jacobian", None)
        return linearise(self.dynamics, X, U).jacobian if alone is None else alone(X, U)


class ProjectedModel(LearnedModel):
    """A learned model that is kept to states that can be: `project(x)` returns the one that x (...,
    dx) is taken for.

    A model that learns a cosine as it learns a speed lets it grow beyond 1, and a plan that is paid
    for it goes there.
    """

    def __init__(self, dynamics: Model, project: Callable[[Array], Array]):
        super().__init__(dynamics)
        self.project = project

    def step(self, x: Array, u: Array, t: int = 0) -> Array:
        """Returns the mean of x' (..., dx), projected."""
        return self._projected(super().step(x, u))

    def jacobian(self, X: Array, U: Array, t: int = 0) -> Array:
        """Returns the derivatives of `step`, (..., dx, n); those of the projection by central
        differences.
        """
        after, dx, h = super().step(X, U), X.shape[-1], 1e-5
        moved = (after[..., None, :] + sign * h * np.eye(dx) for sign in (1, -1))
        sides = (self._projected(x) for x in moved)
        slope = (next(sides) - next(sides)) / (
            2 * h
        )  # (..., dx of what is moved, dx of what moves)
        return np.swapaxes(slope, -1, -2) @ super().jacobian(X, U)

    def _projected(self, x: Array) -> Array:
        return real("project(x)", guarded("project(x)", self.project)(x.copy()), x.shape)


class LocalModel:
    """Time-varying linear-Gaussian dynamics, as fitted around trajectories: steps 0..T-1 of an
    episode.
    """

    def __init__(self, dynamics: LinearGaussianDynamics, particles: int = 1):
        """With one particle the mean is followed; with more, the noise is drawn."""
        self.dynamics, self.particles = dynamics, particles
        self._root = (
            np.linalg.cholesky(dynamics.cov) if particles > 1 else np.zeros(dynamics.cov.shape)
        )

    def roll(self, x0: Array, U: Array, t: int, rng: np.random.Generator) -> Array:
        """Returns states (N, P, H+1, dx). Raises InputError where the horizon leaves the steps that
        are known.
        """
        N, H = U.shape[:2]
        self._check(t, H)
        X = np.empty((N, self.particles, H + 1, len(x0)))
        X[:, :, 0] = x0
        for i in range(H):
            F, f = self.dynamics.F[t + i], self.dynamics.f[t + i]
            u = np.broadcast_to(U[:, None, i], (N, self.particles, U.shape[-1]))
            noise = rng.standard_normal((N, self.particles, len(x0))) if self.particles > 1 else 0.0
            drift = np.concatenate([X[:, :, i], u], -1) @ F.T + f
            X[:, :, i + 1] = drift + (noise @ self._root[t + i].T if self.particles > 1 else 0.0)
        return X

    def step(self, x: Array, u: Array, t: int = 0) -> Array:
        """Returns the mean of x' (..., dx) after step t. Raises InputError for a step that is not
        known.
        """
        self._check(t, 1)
        return np.concatenate([x, u], -1) @ self.dynamics.F[t].T + self.dynamics.f[t]

    def jacobian(self, X: Array, U: Array, t: int = 0) -> Array:
        """Returns F of the steps t, t + 1 ..., (..., H, dx, n). Raises InputError for steps that
        are not known.
        """
        H = X.shape[-2]
        self._check(t, H)
        return np.broadcast_to(self.dynamics.F[t : t + H], (*X.shape, self.dynamics.F.shape[-1]))

    def _check(self, t: int, count: int) -> None:
        known = len(self.dynamics.f)
        if t < 0 or t + count > known:
            raise InputError(
                f"got steps {t} to {t + count} of local models of {known}; expected fewer"
            )


class SimulatorModel:
    """The task's own physics: what an oracle planner plans in, the bound of what a learned model
    lets one reach.

    The task tells the physical state of x: `to_physical(x)` for tasks of equations,
    `to_qpos_qvel(x)` for MuJoCo models. Raises InputError for a task that does not.
    """

    particles = 1

    def __init__(self, task: Task):
        self._task: Any = task
        self._equations = capability(task, PhysicalState)
        if mujoco := capability(task, MujocoState):
            self._task = mujoco.copy()  # simulations of its own: the episode's are left alone
        elif self._equations is None:
            raise InputError(
                f"{task.name} does not tell its physical state; expected `to_physical` or `to_qpos_qvel`"
            )

    def roll(self, x0: Array, U: Array, t: int, rng: np.random.Generator) -> Array:
        """Returns states (N, 1, H+1, dx), NaN from where one diverges."""
        N, H = U.shape[:2]
        X = np.empty((N, 1, H + 1, len(x0)))
        X[:, 0, 0] = x0
        if self._equations:
            s = np.repeat(self._task.to_physical(np.asarray(x0)[None]), N, axis=0)
            for i in range(H):
                s = self._task.advance(s, U[:, i])
                X[:, 0, i + 1] = self._task.states(s)
            return X
        qpos, qvel = self._task.to_qpos_qvel(np.asarray(x0)[None])
        self._task.start(np.repeat(qpos, N, axis=0), np.repeat(qvel, N, axis=0))
        for i in range(H):
            x = self._task.step(U[:, i])
            X[:, 0, i + 1] = np.where(self._task.diverged[:, None], np.nan, x)
        return X

    def step(self, x: Array, u: Array, t: int = 0) -> Array:
        """Returns x' (..., dx), whatever the step."""
        flat, act = np.reshape(x, (-1, np.shape(x)[-1])), np.reshape(u, (-1, np.shape(u)[-1]))
        if self._equations:
            after = self._task.states(self._task.advance(self._task.to_physical(flat), act))
        else:
            self._task.start(*self._task.to_qpos_qvel(flat))
            after = self._task.step(act)
            after = np.where(self._task.diverged[:, None], np.nan, after)
        return after.reshape(np.shape(x))

    def jacobian(self, X: Array, U: Array, t: int = 0) -> Array:
        """Returns central differences of `step`, (..., dx, n), of all points and directions in one
        batch.
        """
        dx, xu = X.shape[-1], np.concatenate([X, U], -1)
        h = 1e-5 * np.maximum(1.0, np.abs(xu))
        move = np.eye(xu.shape[-1])[:, *[None] * (xu.ndim - 1)] * h  # (n, ..., n)
        points = np.stack([xu + move, xu - move])
        after = self.step(points[..., :dx], points[..., dx:])
        return np.moveaxis((after[0] - after[1]) / (2 * np.moveaxis(h, -1, 0)[..., None]), 0, -1)
