"""Before anything is learned: a few episodes choose the first controllers, and the size of their
noise.

    start   one noise-free episode of each initial controller that the task allows; the one of
            lowest cost is taken
    noise   pairs of episodes with opposite noise, from the smallest size upward, while it pays:
            sqrt(2 epsilon) L - Q,   L = sum_t |c+_t - c-_t| / 2,   Q = sum_t (c+_t + c-_t) / 2 - c_t

A step of epsilon nats moves the mean action by up to sqrt(2 epsilon) standard deviations of the
noise, and so, to first order, the cost by up to sqrt(2 epsilon) L. Q is what the noise itself
costs: noise that is too large for the task costs more than a step could gain, noise that is too
small shows nothing that a step could follow. Q and L are differences of costs, so neither a constant
in the cost nor the units of actions, states and cost matter.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from agents.interfaces import Task
from agents.rollout import Trajectories
from agents.tasks.capabilities import Joints, JointTarget, capability, manifold_of
from lqr import LinearGaussianController

Array = np.ndarray
FACTOR = 10**0.5  # from one size of the noise to the next
ADVANTAGE = 0.02  # of the cost's variation, by which another start than zero must be better

# a controller, its noise as a share of half the action range, and how many episodes of each of the
# probed conditions -> these
Run = Callable[[LinearGaussianController, float, int], Trajectories]


class Probe(NamedTuple):
    """What was found."""

    initial: str  # the word of the first controllers
    std: float  # their noise, as a share of half the action range
    gain: Array  # (M,), sqrt(2 epsilon) L - Q of each size that was tried, mean over the conditions


def candidates(task: Task) -> tuple[str, ...]:
    """Returns the words of the initial controllers that a task allows; zero comes first."""
    if capability(task, Joints) is None or manifold_of(task):
        return ("zero",)
    return ("zero", "hold") if capability(task, JointTarget) is None else ("zero", "hold", "pd")


def probed_conditions(task: Task) -> Array:
    """Returns the conditions whose episodes are tried: one in ten, evenly spaced."""
    count = max(1, task.conditions // 10)
    return np.linspace(0, task.conditions - 1, count).round().astype(int)


def probe(
    controllers: dict[str, LinearGaussianController],
    run: Run,
    least: float,
    most: float,
    epsilon: float,
) -> Probe:
    """Returns the best of the initial controllers, by their words, and the size of the noise from
    `least` to `most` that pays most for a step of epsilon nats.

    The noise grows until the next size pays less, or an episode diverges.
    """
    quiet = {word: run(controller, 0.0, 1) for word, controller in controllers.items()}
    zero, *others = quiet
    word, best, variation = zero, mean_cost(quiet[zero]), cost_spread(quiet[zero])
    for other in others:
        cost = mean_cost(quiet[other])
        needed = ADVANTAGE * variation if word == zero and np.isfinite(best) else 0.0
        if cost < best - needed:
            word, best = other, cost
    base = quiet[word].cost.mean(0).sum()
    sizes, gains = [least], []
    while True:
        noisy = run(controllers[word], sizes[-1], 2)
        gains.append(gain(noisy, base, epsilon))
        if gains[-1] < max(gains) or gains[-1] == -np.inf or sizes[-1] >= most:
            break
        sizes.append(min(sizes[-1] * FACTOR, most))
    return Probe(word, sizes[int(np.argmax(gains))], np.array(gains))


def gain(noisy: Trajectories, base: float, epsilon: float) -> float:
    """Returns sqrt(2 epsilon) L - Q of pairs of episodes with opposite noise, mean over the pairs;
    minus infinity where one diverged.
    """
    if noisy.failed.any():
        return -np.inf
    pairs = noisy.cost.reshape(-1, 2, noisy.cost.shape[-1])
    L = 0.5 * np.abs(pairs[:, 0] - pairs[:, 1]).sum(-1)
    return float(np.sqrt(2 * epsilon) * L.mean() - (pairs.sum(-1).mean() - base))


def mean_cost(quiet: Trajectories) -> float:
    """Returns the mean cost of noise-free episodes; infinite where one diverged."""
    return float(np.where(quiet.failed, np.inf, quiet.cost.sum(-1)).mean())


def cost_spread(quiet: Trajectories) -> float:
    """Returns by how much the cost differs along the episodes, after whose ends nothing counts: see
    `cost_variation`.
    """
    steps = quiet.mask
    cost = quiet.cost[:, :-1]
    count = np.maximum(steps.sum(1), 1)
    gap = np.where(steps, cost - (np.where(steps, cost, 0.0).sum(1) / count)[:, None], 0.0)
    return float(quiet.cost.shape[1] * np.sqrt((gap**2).sum(1) / count).mean())
