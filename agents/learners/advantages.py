"""How much better an action was than what was to be expected: generalised advantages.

    delta_t = r_t + gamma V(s_t+1) - V(s_t),    A_t = sum_k (gamma lambda)^k delta_t+k

Schulman, Moritz, Levine, Jordan & Abbeel, High-Dimensional Continuous Control Using Generalized
Advantage Estimation (2016). V is a ridge regression on the observation, its squares and the time
(Duan, Chen, Houthooft, Schulman & Abbeel, 2016, section 5), fitted to the same episodes.
"""

import numpy as np

from ..rollout import Trajectories

Array = np.ndarray


def rewards_of(episodes: Trajectories, discount: float) -> Array:
    """Returns minus the costs of the steps (N, T), less their mean, in their deviation: no unit of
    the cost matters, and no constant where episodes last as long as each other. What the last state
    costs belongs to the last step; after an end nothing is paid any more.
    """
    N, T = episodes.u.shape[:2]
    mask, rows = episodes.mask, np.arange(N)
    costs = episodes.cost[:, :-1][mask]
    mean, spread = costs.mean(), costs.std()
    reward = np.where(mask, mean - episodes.cost[:, :-1], 0.0)
    left = T - episodes.length
    ahead = discount * (left if discount == 1 else (1 - discount**left) / (1 - discount))
    reward[rows, episodes.length - 1] += mean - episodes.cost[rows, episodes.length] + mean * ahead
    return reward / (spread if spread > 1e-12 * abs(mean) else 1.0)


def advantages(reward: Array, x: Array, mask: Array, discount: float, smoothing: float) -> Array:
    """Returns the advantage of each step (N, T), of mean 0 and deviation 1 over the steps that were
    taken.

    reward (N, T), inputs x (N, T, do) in normal units, mask (N, T); `smoothing` is lambda.
    """
    features = features_of(x)
    value = np.where(mask, features @ fitted(features[mask], sums(reward, discount)[mask]), 0.0)
    after = np.concatenate([value[:, 1:], np.zeros((len(value), 1))], 1)
    found = sums(np.where(mask, reward + discount * after - value, 0.0), discount * smoothing)
    kept = found[mask]
    spread = kept.std()
    return np.where(mask, found - kept.mean(), 0.0) / (spread if spread > 0 else 1.0)


def sums(reward: Array, discount: float) -> Array:
    """Returns the discounted sums of what comes from each step on, (N, T)."""
    found = reward.copy()
    for t in reversed(range(reward.shape[1] - 1)):
        found[:, t] += discount * found[:, t + 1]
    return found


def features_of(x: Array) -> Array:
    """Returns the inputs (N, T, do) within 10 deviations, their squares, and the time to its third
    power, (N, T, 2 do + 4).
    """
    N, T = x.shape[:2]
    x = np.clip(x, -10.0, 10.0)
    t = np.arange(T) / T
    time = np.broadcast_to(np.stack([t**0, t, t**2, t**3], -1), (N, T, 4))
    return np.concatenate([x, x**2, time], -1)


def fitted(features: Array, target: Array, ridge: float = 1e-3) -> Array:
    """Returns the weights (F,) that predict targets (M,) from features (M, F)."""
    gram = features.T @ features + ridge * len(target) * np.eye(features.shape[1])
    found: Array = np.linalg.solve(gram, features.T @ target)
    return found
