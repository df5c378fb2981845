"""What a model may ask of a task beyond its numbers; each thing that a task may offer is a
Protocol.

A task offers a thing by having its attributes; one that is None is not offered, so that a task
built on another one can take back what no longer holds. The tasks' other capabilities are in
`agents.tasks.capabilities`.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from .base import Array
from .manifold import Manifold

Offer = TypeVar("Offer")


class HasManifold(Protocol):
    """States hold angles that wrap, or quaternions: local models see tangent coordinates.

    The cost must be the same for the same angle and orientation.
    """

    manifold: Manifold  # of states x (dx,)


class Simulator(Protocol):
    """What a task offers as its attribute `simulator`."""

    parameters: Sequence[str]  # names of the P parameters that may be wrong

    def __call__(self, x: Array, u: Array, factors: Array) -> Array:
        """Returns the states (M, dx) one step after x (M, dx) under u (M, du), NaN where that
        failed.

        `factors` (M, P) multiply the parameters.
        """
        ...


class HasSimulator(Protocol):
    """One step of a model of the task from any state, for the prior of that name and for
    pretraining.
    """

    simulator: Simulator


class HasGraph(Protocol):
    """The task's states are those of bodies that push each other. Used by graph networks."""

    graph: Any  # a `dynamics.graphs.graph.Graph`


def capability(task: Any, kind: type[Offer]) -> Offer | None:
    """Returns the task, typed as the Protocol `kind`, where it has all that this asks for and none
    of it is None; else None.
    """
    offered = all(getattr(task, name, None) is not None for name in members(kind))
    return task if offered else None


def attached(model: Any, task: Any) -> Any:
    """Returns the model, which has been handed the task where it has a method `attach`."""
    if hasattr(model, "attach"):
        model.attach(task)
    return model


def members(kind: type) -> list[str]:
    """Returns the names that a Protocol asks for."""
    return [name for name in (*kind.__annotations__, *vars(kind)) if not name.startswith("_")]


def manifold_of(task: Any) -> Manifold | None:
    """Returns the manifold that the task's states lie on; None where they are plain vectors."""
    found = capability(task, HasManifold)
    return None if found is None else found.manifold
