"""What the global policy is trained on: states, observations, and states near them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import Task
from agents.tasks.capabilities import ObservationOf, capability, manifold_of, pixels_of
from dynamics.vision.pictures import Packed, from_tree, pack, to_tree, tree_form, unpack
from lqr import InputError, TrajectoryDistribution, forward

from .linearise import slopes
from .local_data import initial_states
from .local_policies import LocalFit

Array = np.ndarray


def check_forecasts(task: Task, policy: str, forecasts: int, between: int = 0) -> None:
    """Raises InputError where states cannot be forecast, or mixed, for what the policy sees."""
    made = {"forecasts": forecasts, "between": between}
    for name, count in made.items():
        if count and pixels_of(task):
            raise InputError(
                f"{name} is {count}, for pictures of {task.name}, which cannot be made; expected --{name} 0"
            )
    if between and manifold_of(task):
        raise InputError(
            f"between is {between} for {task.name}, whose states lie on a manifold; expected --between 0"
        )
    if forecasts and policy == "recurrent":
        raise InputError(
            "got forecasts, which are no episodes, for a policy with memory; expected --forecasts 0"
        )


class PolicyData(NamedTuple):
    """Where the policy is trained: states, the observations there, and which steps took place."""

    x: Array  # (C, N, T, dx)
    o: Array  # (C, N, T, do)
    used: Array  # (C, N, T), 0 or 1


def kept(data: PolicyData, task: Task) -> PolicyData:
    """Returns data as a replay keeps them: pictures as bytes, where a task says by observations of
    float32 that they are made of these.
    """
    pixels = pixels_of(task) if data.o.dtype == np.float32 else 0  # else floats, or codes
    return data._replace(o=pack(data.o, pixels)) if pixels else data  # type: ignore[arg-type]


def as_seen(data: PolicyData) -> PolicyData:
    """Returns data with observations as policies see them."""
    return data._replace(o=unpack(data.o)) if isinstance(data.o, Packed) else data


def saved(data: PolicyData) -> dict[str, Any]:
    """Returns what is kept as a tree."""
    return data._asdict() | ({"o": to_tree(data.o)} if isinstance(data.o, Packed) else {})


def restored(tree: Mapping[str, Any], task: Task) -> PolicyData:
    """Returns what is kept out of a tree of the form of `saved`. Raises CheckpointError for pictures
    that cannot be read.
    """
    o = tree["o"]
    if isinstance(o, Mapping):
        o = from_tree(o, pixels_of(task), "state/replay")
    return PolicyData(tree["x"], o, tree["used"])  # type: ignore[arg-type]


def saved_form(
    part: Any, task: Task, lead: tuple[Any, ...], seen: int | None = None
) -> dict[str, Any]:
    """Returns the form of `saved`, as `check_tree` takes it, of data of these leading axes, kept as
    `part` is, or of `seen` numbers of an observation.
    """
    pixels, o = pixels_of(task), part.get("o") if isinstance(part, Mapping) else None
    squeezed = pixels and isinstance(o, Mapping)
    o = tree_form(lead, task.do - pixels) if squeezed else (*lead, seen or task.do)
    return {"x": (*lead, task.dx), "o": o, "used": lead}


def joined(parts: list[PolicyData]) -> PolicyData:
    """Returns the parts as one, along the episodes."""
    return PolicyData(*(np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True)))


def within_trust_region(x: Array, fit: LocalFit, radius: float) -> Array:
    """Returns 1 for the states (C, N, T, dx) within the trust region about the predicted
    trajectories, else 0, (C, N, T).

    They lie at most `radius` standard deviations from the mean, as a root mean square over the
    coordinates. Far from there the present controllers, which are linear, are not meant to act.
    """
    dx = x.shape[-1]
    ahead = forward(fit.dynamics, fit.data.controller, initial_states(fit.data))
    mean, cov = ahead.mean[:, :-1, :dx], ahead.cov[:, :-1, :dx, :dx]
    cov = cov + np.diag(1e-6 * np.maximum(x.var((0, 1, 2)), 1e-12))
    gap = np.swapaxes(x - mean[:, None], 1, 2)  # (C, T, N, dx)
    white = np.swapaxes(np.linalg.solve(cov, np.swapaxes(gap, -1, -2)), -1, -2)
    square = (gap * white).sum(-1) / dx
    return np.swapaxes(square <= radius**2, 1, 2).astype(float)


def with_neighbours(
    data: PolicyData, copies: int, spread: float, rng: np.random.Generator
) -> PolicyData:
    """Adds states near those of the episodes, `copies` for each, so that a policy learns its
    teachers' feedback as well.

    A state is moved by `spread` times the deviation from the mean of another episode of that
    condition within eight steps, and its observation by as much to first order. For observations
    that are smooth in the state.
    """
    (_, N, T, _), G = data.x.shape, slopes(*data)
    used = data.used[..., None]
    total = np.maximum(data.used.sum(1), 1e-12)[:, None, :, None]
    deviation = used * (data.x - (used * data.x).sum(1, keepdims=True) / total)
    parts = [data]
    for _ in range(copies):
        other, lag = rng.integers(N, size=(N, 1)), rng.integers(-8, 9, size=(N, 1))
        step = spread * deviation[:, other, np.clip(np.arange(T) + lag, 0, T - 1)]
        o = data.o + np.einsum("ctij,cntj->cnti", G, step)
        parts.append(PolicyData(data.x + step, o, data.used))
    return joined(parts)


def with_forecast(
    data: PolicyData,
    ahead: TrajectoryDistribution,
    latest: int,
    copies: int,
    spread: float,
    rng: np.random.Generator,
    task: Task | None = None,
) -> PolicyData:
    """Adds states where new controllers are about to go, `copies` for each condition and step,
    drawn from `ahead`.

    `ahead` are the marginals of the new controllers under the model. The draws lie `spread` times
    as far from the mean, and the first of each step is the mean. The observation there is what
    `task` says, if it is given and says that; else that of the mean of the `latest` episodes, moved
    to first order, for observations that are smooth in the state.
    """
    if not copies:
        return data
    dx, used = data.x.shape[-1], data.used[:, -latest:]
    share = (used / np.maximum(used.sum(1, keepdims=True), 1))[..., None]
    x0, o0 = ((share * a[:, -latest:]).sum(1)[:, None] for a in (data.x, data.o))  # (C, 1, T, .)
    values, vectors = np.linalg.eigh(ahead.cov[:, :-1, :dx, :dx])
    root = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    z = rng.standard_normal((len(root), copies, *root.shape[1:3]))
    z[:, :1] = 0.0
    x = ahead.mean[:, None, :-1, :dx] + spread * np.einsum("ctij,cntj->cnti", root, z)
    told = capability(task, ObservationOf)
    o = told.observation_of(x) if told else o0 + np.einsum("ctij,cntj->cnti", slopes(*data), x - x0)
    took_place = np.repeat(used.any(1, keepdims=True), copies, axis=1).astype(float)
    return joined([data, PolicyData(x, o, took_place)])
