"""The steps of the local half: one controller per condition, its data, its model, and its next
step.

All methods share these steps; `rounds` puts them in the order that all methods share.
"""

from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import Cost, Task
from agents.rollout import Trajectories
from agents.tasks.capabilities import manifold_of
from dynamics import Chart, Fit, InChart, fit_linear_gaussian
from lqr import (
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    NumericalError,
    QuadraticCost,
    TrajectoryDistribution,
    expected_cost,
    forward,
    kl_divergence,
    minimise_cost_within_kl,
)
from lqr.expansion import make_convex

Array = np.ndarray


class Local(NamedTuple):
    """The accepted controller of each condition, the trials it was judged by, and the step that is
    due to it.

    Where a task's states lie on a manifold, x and the controllers are in the tangent coordinates of
    the chart.
    """

    controller: LinearGaussianController  # leading axis C
    x: Array  # (C, N, T+1, dx)
    u: Array  # (C, N, T, du)
    o: Array  # (C, N, T+1, do)
    used: Array  # (C, N, T), 1 for the steps of an episode that took place
    cost: Array  # (C,), mean cost of those trials; 0 where all of them diverged
    multiplier: Array  # (C,), of the KL step
    predicted: (
        Array  # (C,), improvement that the model promised for the controller that is tried next
    )
    trials: int  # episodes so far, in all conditions
    steps: int  # steps of the task so far
    lead: Array  # (C,), model's cost of what is judged, where it is not `controller`, minus that of `controller`
    chart: Chart | None = None  # None where states are plain vectors


class Proposal(NamedTuple):
    """The controllers to try next, and what the model says of them."""

    controller: LinearGaussianController
    mean: Array  # (C, T+1, n) and
    cov: Array  # (C, T+1, n, n), marginals of xu under the model
    predicted: Array  # (C,), expected cost of the accepted controllers minus that of these
    epsilon: Array  # (C,) nats
    kl: Array  # (C,) nats
    eta: Array  # (C,)
    solved: (
        Array  # (C,) bool; where False, the model was unusable and the accepted controller is kept
    )


def initial_controller(task: Task, std: float) -> LinearGaussianController:
    """Returns controllers with zero mean action, or that of `resting`; `std` is a share of half the
    action range.
    """
    C, T, dx, du = task.conditions, task.horizon, state_dim(task), task.du
    cov = np.diag((std * action_scale(task)) ** 2)
    return LinearGaussianController(
        np.zeros((C, T, du, dx)), np.tile(resting(task), (C, T, 1)), np.tile(cov, (C, T, 1, 1))
    )


def resting(task: Task) -> Array:
    """Returns the action to begin with, (du,): 0 where the limits allow it, else their middle, or 1
    inside the only one.
    """
    low, high = task.action_low, task.action_high
    inside = np.where(np.isfinite(high), 0.5 * (np.maximum(low, -1e300) + high), low + 1.0)
    inside = np.where(np.isfinite(low), inside, high - 1.0)
    return np.where((low <= 0) & (high >= 0), 0.0, inside)


def state_dim(task: Task) -> int:
    """Returns how many numbers a controller sees: dx, or those of a tangent vector where states lie
    on a manifold.
    """
    manifold = manifold_of(task)
    return task.dx if manifold is None else int(manifold.dim)


def action_scale(task: Task) -> Array:
    """Returns half the action range, (du,), the unit of exploration; 1 where an action has no
    limits.
    """
    half = 0.5 * (task.action_high - task.action_low)
    return np.where(np.isfinite(half), half, 1.0)


def with_floor(
    controller: LinearGaussianController, std: float, scale: Array
) -> LinearGaussianController:
    """Raises each eigenvalue of the covariance, in units of `scale` (du,), to at least std^2:
    exploration goes on.
    """
    values, vectors = np.linalg.eigh(controller.cov / (scale[:, None] * scale))
    raised = (vectors * np.maximum(values, std**2)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    return controller._replace(cov=raised * scale[:, None] * scale)


def by_condition(
    trials: Trajectories,
    controller: LinearGaussianController,
    multiplier: Array,
    chart: Chart | None = None,
) -> Local:
    """Returns the trials of these controllers, condition by condition, as the data to go on
    from.
    """
    C = len(controller.k)
    x, u, o, cost, length, failed = (a.reshape(C, -1, *a.shape[1:]) for a in trials)
    used = (np.arange(u.shape[2]) < length[..., None]) & ~failed[..., None]
    valid = np.maximum((~failed).sum(1), 1)
    mean_cost = np.where(failed, 0.0, cost.sum(-1)).sum(1) / valid
    used = used.astype(float)
    x = x if chart is None else chart.to_tangent(x)
    counts = length.size, int(length.sum())
    return Local(
        controller, x, u, o, used, mean_cost, multiplier, np.zeros(C), *counts, np.zeros(C), chart
    )


def in_chart(local: Local, chart: Chart) -> Local:
    """Returns the same trials, and the same controllers to first order, in another chart of their
    states.
    """
    assert local.chart is not None
    x = chart.to_tangent(local.chart.from_tangent(local.x))
    return local._replace(x=x, controller=local.chart.express(local.controller, chart), chart=chart)


def recentred(local: Local) -> Local:
    """Returns the same in the chart about the mean of the trials; plain vectors stay as they
    are.
    """
    if local.chart is None:
        return local
    valid = local.used.any(-1)  # (C, N), the trials that did not diverge
    one = np.take_along_axis(local.x, valid.argmax(1)[:, None, None, None], 1)[:, 0]
    about = local.chart.retracted(
        one
    )  # the mean is taken about a trial: about the old reference, trials may lie half a turn off
    d = about.to_tangent(local.chart.from_tangent(local.x))
    share = (valid / np.maximum(valid.sum(1, keepdims=True), 1))[..., None, None]
    return in_chart(local, about.retracted((share * d).sum(1)))


def judge(
    old: Local | None,
    new: Local,
    most: float = 30.0,
    slack: float = 1.5,
    shrink: float = 0.3,
    refuse: bool = True,
) -> tuple[Local, Array, Array]:
    """Returns the trials to go on from, which conditions accepted the new controller, and the
    actual improvement.

    A controller is refused when its trials fall short of what the model promised by more than
    `slack` times the size of the promise (and two hundredths of the cost): its predecessor, with
    its own trials, is taken up again with a step `shrink` as large. Otherwise the step grows or
    shrinks as Levine, Finn et al. (2016), appendix, propose:
    with the improvement modelled as linear promise minus quadratic error, the best step is promise
    / (2 error). The multiplier never exceeds `most`. Trials that all diverged are refused, and
    whatever follows such trials is accepted. Without `refuse` all other trials are accepted.
    """
    if old is None:
        return new, np.ones(len(new.cost), bool), np.zeros(len(new.cost))
    lost, had = (
        ~new.used.any((1, 2)),
        old.used.any((1, 2)),
    )  # every trial diverged now; not every one did before
    actual = np.where(had & ~lost, old.cost - new.cost, 0.0)
    short = old.predicted - actual
    accepted = (
        (short <= slack * np.abs(old.predicted) + 0.02 * np.abs(old.cost)) | ~had | (not refuse)
    )
    accepted &= ~lost
    best = np.abs(old.predicted) / (2 * np.maximum(short, 1e-4 * (1 + np.abs(old.cost))))
    multiplier = old.multiplier * np.where(
        accepted, np.where(had, np.clip(best, 0.3, 3.0), 1.0), shrink
    )
    names = ("x", "u", "o", "used", "cost", "lead")
    data: dict[str, Any] = {
        name: choose(accepted, getattr(new, name), getattr(old, name)) for name in names
    }
    controller = LinearGaussianController(
        *(choose(accepted, a, b) for a, b in zip(new.controller, old.controller, strict=True))
    )
    merged = old._replace(
        controller=controller,
        **data,
        multiplier=np.clip(multiplier, 0.01, most),
        predicted=np.zeros(len(actual)),
        trials=old.trials + new.trials,
        steps=old.steps + new.steps,
    )
    return merged, accepted, actual


def fit(local: Local, prior: Any, strength: float | None = None) -> Fit:
    """Returns the linear-Gaussian models around the accepted trials; `strength` as in
    `fit_linear_gaussian`.
    """
    seen: Any = prior if local.chart is None else InChart(prior, local.chart)
    try:
        return fit_linear_gaussian(local.x, local.u, seen, weight=local.used, strength=strength)
    except np.linalg.LinAlgError as error:
        raise NumericalError(
            f"the local models cannot be fitted to {local.u.shape[1]} samples ({error}); expected a prior that is "
            "definite where they are few: take more samples, or another prior"
        ) from None


def expand(cost: Cost, local: Local) -> QuadraticCost:
    """Returns each condition's quadratic cost: convex expansions around its trials, averaged over
    them.

    As in the trials, the steps after an episode's end cost nothing.
    """
    if local.chart is None:
        terms = cost.expand(local.x, local.u)
    else:
        x = local.chart.from_tangent(local.x)
        terms = local.chart.cost(cost.expand(x, local.u), x, local.u)
    terms = make_convex(terms, around=(local.x, local.u))
    valid = local.used[..., :1]
    share = np.concatenate([valid, local.used], -1) / np.maximum(
        valid.sum(1, keepdims=True), 1
    )  # (C, N, T+1)
    return QuadraticCost(*(np.einsum("cnt,cnt...->ct...", share, a) for a in terms))


def start(local: Local) -> Gaussian:
    """Returns the distribution of initial states, from the trials that count, with a small spread
    added.
    """
    x0, weight = local.x[:, :, 0], local.used[:, :, :1]
    weight = np.where(weight.any(1, keepdims=True), weight, 1.0)  # all diverged: they did start
    total = weight.sum(1)
    spread = 1e-6 * np.maximum(local.x.var((0, 1, 2)), 1e-6)
    mean = (weight * x0).sum(1) / total
    gap = x0 - mean[:, None]
    return Gaussian(
        mean, np.einsum("cni,cnj->cij", weight * gap, gap) / total[..., None] + np.diag(spread)
    )


def improve(
    local: Local,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    epsilon: Array,
    extra: QuadraticCost | None = None,
    temperature: Array | float = 0.0,
) -> Proposal:
    """Returns the controllers that minimise the cost (plus `extra`) within epsilon (C,) nats of the
    accepted ones.

    A condition whose model admits no solution keeps its controller, and `solved` says so.
    """
    x0 = start(local)
    objective = (
        cost if extra is None else QuadraticCost(*(a + b for a, b in zip(cost, extra, strict=True)))
    )
    problem = (
        local.controller,
        dynamics,
        objective,
        x0,
        epsilon,
        np.broadcast_to(temperature, local.u.shape[:1] + local.u.shape[2:3]),
    )
    try:
        parts = [(slice(None), minimise_cost_within_kl(*problem))]
    except NumericalError:
        parts = []
        for c in range(len(epsilon)):
            one = slice(c, c + 1)
            try:
                parts.append((one, minimise_cost_within_kl(*(_pick(p, one) for p in problem))))
            except NumericalError:  # this condition's model is unusable: stay
                continue
    before = forward(local.controller, dynamics, x0)
    K, k, cov = (a.copy() for a in local.controller)
    mean, spread = before.mean.copy(), before.cov.copy()
    C = len(epsilon)
    kl, eta, predicted, solved = np.zeros(C), np.zeros(C), np.zeros(C), np.zeros(C, bool)
    for at, result in parts:
        K[at], k[at], cov[at] = result.controller
        mean[at], spread[at] = result.distribution
        kl[at], eta[at], solved[at] = result.kl, result.eta, True
        gain = expected_cost(_pick(before, at), _pick(cost, at)) - expected_cost(
            result.distribution, _pick(cost, at)
        )
        predicted[at] = gain.sum(-1)
    return Proposal(
        LinearGaussianController(K, k, cov), mean, spread, predicted, epsilon, kl, eta, solved
    )


def trial_costs(cost: Cost, local: Local) -> Array:
    """Returns the cost of each step of the accepted trials, (C, N, T+1), 0 after an episode's
    end.
    """
    x = local.x if local.chart is None else local.chart.from_tangent(local.x)
    return cost(x, local.u) * np.concatenate([local.used[..., :1], local.used], -1)


def propose(
    local: Local,
    controller: LinearGaussianController,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    epsilon: Array,
    eta: Array,
) -> Proposal:
    """Returns controllers that were found without the model, with what the model says of them."""
    x0 = start(local)
    mean, cov = forward(controller, dynamics, x0)
    kl = kl_divergence(controller, local.controller, TrajectoryDistribution(mean, cov)).sum(-1)
    gain = model_cost(local.controller, dynamics, cost, x0) - model_cost(
        controller, dynamics, cost, x0
    )
    return Proposal(controller, mean, cov, gain, epsilon, kl, eta, np.ones(len(kl), bool))


def model_cost(
    controller: LinearGaussianController,
    dynamics: LinearGaussianDynamics,
    cost: QuadraticCost,
    x0: Gaussian,
) -> Array:
    """Returns the expected cost of controllers under a model, (C,)."""
    return expected_cost(forward(controller, dynamics, x0), cost).sum(-1)


def choose(accepted: Array, new: Array, old: Array) -> Array:
    """Returns `new` for the conditions that accepted (C,) says, and `old` for the others, (C,
    ...).
    """
    return np.where(accepted.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _pick(value: Any, at: slice) -> Any:
    if hasattr(value, "_fields"):
        return type(value)(*(a[at] for a in value))
    return value[at]


def transitions(local: Local) -> tuple[Array, Array, Array]:
    """Returns the transitions that took place, (M, dx), (M, du), (M, dx), for a prior to learn
    from.
    """
    took_place = local.used > 0
    x = local.x if local.chart is None else local.chart.from_tangent(local.x)
    found = x[:, :, :-1][took_place], local.u[took_place], x[:, :, 1:][took_place]
    return found if local.chart is None else local.chart.transitions(*found)
