"""Runs controllers and policies in a task, all conditions and samples side by side; or one episode
after the other, where there is one robot.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from dynamics import Chart
from lqr import GPSError, InputError, LinearGaussianController, SimulationError
from lqr.user_functions import described, guarded

from .in_turn import Draw, in_turn
from .interfaces import Array, EpisodeDiscarded, Policy, Task
from .tasks.capabilities import (
    Interruptible,
    Rewarded,
    applied,
    capability,
    diverged,
    runs_serially,
)


class Trajectories(NamedTuple):
    """What happened, in N episodes. Past an episode's end the last state is repeated, with zero
    actions and cost.
    """

    x: Array  # (N, T+1, dx)
    u: Array  # (N, T, du), the actions that were applied, within the limits
    o: Array  # (N, T+1, do)
    cost: Array  # (N, T+1)
    length: Array  # (N,) int, steps until termination, T where there was none
    failed: Array  # (N,) bool, the simulator diverged; the fit must not see it

    @property
    def mask(self) -> Array:
        """Which steps were taken, (N, T) bool: before their episode's end, where it did not
        diverge.
        """
        return (np.arange(self.u.shape[1]) < self.length[:, None]) & ~self.failed[:, None]

    @property
    def states(self) -> Array:
        """Returns x with NaN past each episode's end, for figures."""
        past = np.arange(self.x.shape[1]) > self.length[:, None]
        return np.where(past[..., None], np.nan, self.x)

    @property
    def pairs(self) -> tuple[Array, Array]:
        """Observations (M, do) and actions (M, du) of the steps taken."""
        return self.o[:, :-1][self.mask], self.u[self.mask]

    @property
    def transitions(self) -> tuple[Array, Array, Array]:
        """States (M, dx), actions (M, du) and next states (M, dx) of the steps taken."""
        return self.x[:, :-1][self.mask], self.u[self.mask], self.x[:, 1:][self.mask]

    @property
    def valid(self) -> "Trajectories":
        """Returns the episodes that did not diverge."""
        return Trajectories(*(a[~self.failed] for a in self))

    @property
    def costs(self) -> Array:
        """Returns the cost of each episode, (N,); NaN where it diverged, as it was cut short."""
        return np.where(self.failed, np.nan, self.cost.sum(-1))

    @property
    def evaluated(self) -> dict[str, Array]:
        """Returns the arrays that a method yields of a policy's evaluation episodes, by the names
        that figures know.
        """
        return {"policy_cost": self.costs, "policy_x": self.states}

    def between(self, first: int, last: int) -> "Trajectories":
        """Returns the steps first..last-1, and the states around them."""
        states, steps = slice(first, last + 1), slice(first, last)
        x, u, o, cost = self.x[:, states], self.u[:, steps], self.o[:, states], self.cost[:, states]
        return Trajectories(x, u, o, cost, np.clip(self.length, first, last) - first, self.failed)


Act = Callable[[Array, Array, int], Array]  # x (N, dx), o (N, do), t -> u (N, du)
Watch = Callable[[Trajectories], None]


class Antithetic(np.random.Generator):
    """A generator whose standard normal draws come in pairs of opposite sign: antithetic variates.

    The second, fourth, ... of the `samples` rows that belong together are the negated ones before
    them; a last one without a partner is drawn by itself. Each row is as normal as ever, but the
    mean over a pair knows no first-order effect of the noise (Hammersley and Morton, A New Monte
    Carlo Technique: Antithetic Variates, 1956). No other draws come in pairs: it is for policies
    that add normal noise to an action, not for planners.
    """

    def __init__(self, rng: np.random.Generator, samples: int):
        """Draws from the generator `rng`, and moves it on."""
        super().__init__(rng.bit_generator)
        self._samples = samples

    def standard_normal(self, size: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Returns draws of the shape `size` (N, ...), N a multiple of the samples."""
        draws = super().standard_normal(size, *args, **kwargs)
        groups = draws.reshape(-1, self._samples, *draws.shape[1:])
        groups[:, 1::2] = -groups[:, : self._samples // 2 * 2 : 2]
        return groups.reshape(draws.shape)


class OneRow(np.random.Generator):
    """A generator that gives episode i of N the normal draws that it has when all run side by side.

    `states`, which the episodes share, holds the generator's state before each draw, and after the
    last. Where something else drew in between, as a random start does, the draws are new ones.
    """

    def __init__(self, rng: np.random.Generator, i: int, N: int, states: list[Any]):
        """Draws from the generator `rng`, and moves it on."""
        super().__init__(rng.bit_generator)
        self._rng, self._i, self._N, self._states, self._drawn = rng, i, N, states, 0

    def restart(self) -> None:
        """Begins the episode, or begins it once more: the first draw comes next."""
        self._drawn = 0

    def standard_normal(self, size: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Returns draws of the shape `size` (1, ...)."""
        states, now = self._states, self.bit_generator.state
        if not states or (self._drawn == 0 and repr(now) != repr(states[-1])):
            states[:] = [now]
        self.bit_generator.state = states[self._drawn]
        draws = self._rng.standard_normal((self._N, *size[1:]), *args, **kwargs)
        self._drawn += 1
        if self._drawn == len(states):
            states.append(self.bit_generator.state)
        self.bit_generator.state = states[-1]
        return draws[self._i : self._i + 1]


def rollout(
    task: Task,
    actor: LinearGaussianController | Policy,
    conditions: Array,
    samples: int,
    rng: np.random.Generator,
    noise: float = 1.0,
    smoothing: float = 0.0,
    chart: Chart | None = None,
    antithetic: bool = False,
) -> Trajectories:
    """Returns `samples` episodes of each of the `conditions` (C,), N = C * samples, condition by
    condition.

    `actor` is one linear-Gaussian controller per condition (leading axis C), which sees x (or,
    where there is a chart, the tangent coordinates of x), or a policy, which sees o, or x where it
    says `input = "x"`. `noise` scales the controllers' standard deviation; with 0 their mean
    actions are taken (a policy's, too). Where a task runs its episodes one after the other, each
    has the noise that it has side by side with the others. With `antithetic`, the noise of every
    second episode of a condition is that of the one before with the other sign.
    """
    if samples < 1:
        raise InputError(f"samples is {samples}; expected at least 1")
    where = np.repeat(np.asarray(conditions, dtype=int), samples)
    source = Antithetic(rng, samples) if antithetic else rng
    if isinstance(actor, LinearGaussianController):
        act = _controllers(actor, samples, source, noise, smoothing, chart)
        found = run_rows(task, act, where, rng)
    elif getattr(actor, "in_turn", False) and runs_serially(task):
        plans = source if noise else np.random.default_rng(0)  # as it has for all side by side
        found = run(task, in_turn(_drawing(actor), plans, len(where)), where, rng)
    elif noise and runs_serially(task):
        states: list[Any] = []
        acts = [_row_of(actor, OneRow(source, i, len(where), states)) for i in range(len(where))]
        found = run(task, acts, where, rng)
    else:
        found = run(task, _policy(actor, source if noise else None), where, rng)
    return found


def run_rows(
    task: Task, act: Callable[..., Array], where: Array, rng: np.random.Generator
) -> Trajectories:
    """Runs one episode in each of the conditions `where` (N,), each with an actor of its own:
    `act(x, o, t, rows)` acts in the episodes `rows` (a slice), all or one.
    """
    if runs_serially(task):
        acts = [partial(act, rows=slice(i, i + 1)) for i in range(len(where))]
        return run(task, acts, where, rng)
    return run(task, partial(act, rows=slice(None)), where, rng)


def run(
    task: Task,
    act: Act | Sequence[Act],
    where: Array,
    rng: np.random.Generator,
    watch: Watch | None = None,
) -> Trajectories:
    """Runs one episode in each of the conditions `where` (N,) and records it; once all have ended
    nobody is asked.

    Where a task runs its episodes one after the other, `act` may be one for each of them; one that
    the task discards is run again, with the random numbers that it had. What the
    world pays is what an episode costs; else it is the task's cost. `watch` is shown, before each
    step but the first, what has happened so far, with minus what the world paid as costs.

    Raises SimulationError where the task or the actor gives other shapes than promised, an action
    that is not finite, or a start that is not, and where every episode diverged; InputError for a
    cost that cannot be used.
    """
    if runs_serially(task):
        acts = list(act) if isinstance(act, Sequence) else [act] * len(where)
        parts = _one_by_one(task, acts, where, rng, watch)
        found = Trajectories(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    else:
        assert not isinstance(act, Sequence)
        found = _episodes(task, act, where, rng, watch)
    if found.failed.all():
        raise SimulationError(
            f"all {len(where)} episodes diverged in {task.name}; the simulator's state became huge or not a number: "
            "lower initial_std, or check the task's model"
        )
    if capability(task, Rewarded):
        return found
    cost = checked_cost(task, found.x, found.u)
    cost[np.arange(task.horizon + 1) > found.length[:, None]] = 0.0
    return found._replace(cost=cost)


def _one_by_one(
    task: Task, acts: Sequence[Act], where: Array, rng: np.random.Generator, watch: Watch | None
) -> list[Trajectories]:
    """Runs an episode of each of `acts`, again where the task discards it; whatever happens, nothing
    is left moving.
    """
    robot, parts, before = capability(task, Interruptible), list[Trajectories](), list[Any]()
    while (i := len(parts)) < len(acts):
        before.append(rng.bit_generator.state)
        try:
            if robot:
                robot.repeatable(i)
            parts.append(_episodes(task, acts[i], where[i : i + 1], rng, watch))
        except EpisodeDiscarded as told:
            first = max(0, i - told.back)
            rng.bit_generator.state = before[first]
            del parts[first:], before[first:]
        except BaseException:
            if robot:
                robot.abort()
            raise
    if robot:
        robot.repeatable(0)
    return parts


def metrics_of(task: Task, shown: Trajectories) -> dict[str, Array]:
    """Returns the task's own numbers of these episodes, (N,) each, and the return where the world
    pays each step.
    """
    found = _named(f"{task.name}.metrics", task.metrics)(shown.x.copy(), shown.u.copy())
    if not isinstance(found, dict):
        raise InputError(
            f"the metrics of {task.name} gave a {type(found).__name__}; expected a dict of arrays, a number per episode"
        )
    found = {
        str(name): _shaped(value, (len(shown.x),), f"{task.name}.metrics, {name!r},").copy()
        for name, value in found.items()
    }
    return found | {"return": -shown.cost.sum(-1)} if capability(task, Rewarded) else found


def _episodes(
    task: Task, act: Act, where: Array, rng: np.random.Generator, watch: Watch | None
) -> Trajectories:
    """Runs episodes side by side; their costs are minus what was paid, 0 where nobody pays."""
    N, T = len(where), task.horizon
    x = np.empty((N, T + 1, task.dx))
    u = np.zeros((N, T, task.du))
    o = np.empty((N, T + 1, task.do))
    length, alive, failed = np.full(N, T), np.ones(N, bool), np.zeros(N, bool)
    reset = _named(f"{task.name}.reset", task.reset)
    step = _named(f"{task.name}.step", task.step)
    observe = _named(f"{task.name}.observe", task.observe)
    done = _named(f"{task.name}.done", task.done)
    x[:, 0] = _shaped(reset(where.copy(), rng), (N, task.dx), f"{task.name}.reset")
    o[:, 0] = _shaped(observe(), (N, task.do), f"{task.name}.observe")
    if not (np.isfinite(x[:, 0]).all() and np.isfinite(o[:, 0]).all()):
        i = int(np.argmin(np.isfinite(x[:, 0]).all(1) & np.isfinite(o[:, 0]).all(1)))
        raise SimulationError(
            f"{task.name}.reset gave condition {where[i]} the state {x[i, 0]} and observation {o[i, 0]}; "
            "expected finite numbers: check how the task starts"
        )
    cost = np.zeros((N, T + 1))
    record = Trajectories(x, u, o, cost, length, failed)
    for t in range(T):
        if watch and t:
            watch(record.between(0, t))
        acted = guarded("the actor", act)(x[:, t].copy(), o[:, t].copy(), t)
        action = _shaped(acted, (N, task.du), "the actor")
        action = np.clip(action, task.action_low, task.action_high)
        if not np.isfinite(action[alive]).all():
            i = int(np.argmax(~np.isfinite(action).all(1) & alive))
            raise SimulationError(
                f"the action of episode {i} at step {t} is {action[i]}; expected finite numbers: was training healthy?"
            )
        u[:, t] = np.where(alive[:, None], action, 0.0)
        after = _shaped(step(u[:, t].copy()), (N, task.dx), f"{task.name}.step").copy()
        seen = _shaped(observe(), (N, task.do), f"{task.name}.observe")
        u[:, t] = np.where(alive[:, None], applied(task, u[:, t]), 0.0)
        if paid := capability(task, Rewarded):
            reward = _shaped(paid.reward, (N,), f"{task.name}.reward")
            cost[:, t] = np.where(alive, -reward.astype(float), 0.0)
        broken = ~(np.isfinite(after).all(1) & np.isfinite(seen).all(1))
        failed |= (
            broken | _diverged(task, N)
        ) & alive  # what a simulation does after its episode does not count
        x[:, t + 1] = np.where((alive & ~broken)[:, None], after, x[:, t])
        o[:, t + 1] = np.where((alive & ~broken)[:, None], seen, o[:, t])
        over = _yes(done(), N, f"{task.name}.done")
        ended = (over | broken) & alive
        length[ended] = t + 1
        alive &= ~ended
        if not alive.any():
            x[:, t + 2 :], o[:, t + 2 :] = x[:, t + 1, None], o[:, t + 1, None]
            break
    return Trajectories(x, u, o, cost, length, failed)


def checked_cost(task: Task, x: Array, u: Array) -> Array:
    """Returns task.cost(x, u) of states (N, T+1, dx) and actions (N, T, du), which it may read and
    not change.

    Raises InputError if its shape or type is wrong, an entry is not finite, it writes to its input,
    or what it says of the first episode changes when that is asked for alone.
    """
    x, u = x.view(), u.view()
    x.flags.writeable = u.flags.writeable = False
    cost = _cost(task, x, u)
    again = _cost(task, x[:1], u[:1])
    if not np.allclose(again, cost[:1], rtol=1e-6, atol=1e-9 * (1 + np.abs(cost[:1]).max())):
        raise InputError(
            f"the cost of {task.name} says {cost[:1].sum()} of an episode among others and {again.sum()} of it alone; "
            "expected a function of the episode: it must not remember, nor look across episodes"
        )
    return cost


def _cost(task: Task, x: Array, u: Array) -> Array:
    name = f"the cost of {task.name}"
    try:
        cost = np.asarray(guarded(name, task.cost, (ValueError,))(x, u))
    except ValueError as error:
        if isinstance(error, GPSError):
            raise
        if "read-only" not in str(error):
            raise InputError(
                f"{name} failed with {described(error)}; try that alone, in Python"
            ) from error
        raise InputError(
            f"the cost of {task.name} writes to its input ({error}); expected it to read only: let it work on a copy"
        ) from None
    expected = (*x.shape[:-2], task.horizon + 1)
    if cost.shape != expected or cost.dtype.kind not in "fiu":
        raise InputError(
            f"the cost of {task.name} has shape {cost.shape} and type {cost.dtype}; expected {expected}, real"
        )
    if not np.isfinite(cost).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(cost))[0])
        raise InputError(
            f"the cost of {task.name} is {cost[where]} at (episode, step) {where}; expected finite numbers"
        )
    return cost.astype(float)


def _shaped(value: Array, shape: tuple[int, ...], what: str) -> Array:
    """Returns an array of that shape; raises SimulationError for another, lest it be broadcast in
    silence.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged, or a tensor that is no array
        array = np.array(None)
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise SimulationError(
            f"{what} gave shape {array.shape} of {array.dtype}; expected {shape}, real: return a row per episode"
        )
    return array


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function with errors that name it."""

    def call(*given: Any) -> Any:
        try:
            return function(*given)
        except (GPSError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            raise SimulationError(
                f"{name} failed with {described(error)}; try that alone, in Python"
            ) from error

    return call


def _diverged(task: Task, N: int) -> Array:
    return _yes(diverged(task, N), N, f"{task.name}.diverged")


def _yes(value: Array, N: int, what: str) -> Array:
    """Returns booleans (N,); raises SimulationError for what is neither True nor False, 0 nor 1."""
    found = _shaped(value, (N,), what)
    if not ((found == 0) | (found == 1)).all():
        raise SimulationError(f"{what} gave {found}; expected True or False for each episode")
    return found.astype(bool)


def smoothed(draws: Array, steps: float) -> Array:
    """Returns white noise (N, T, du) correlated over so many steps, of the same variance; 0 steps
    leave it as it is.
    """
    if not steps:
        return draws
    gain = np.sqrt((gaussian_filter1d(np.eye(draws.shape[1])[0], steps, mode="wrap") ** 2).sum())
    return gaussian_filter1d(draws, steps, axis=1, mode="wrap") / gain


def _controllers(
    actor: LinearGaussianController,
    samples: int,
    rng: np.random.Generator,
    noise: float,
    smoothing: float,
    chart: Chart | None,
) -> Callable[..., Array]:
    group = np.repeat(np.arange(len(actor.k)), samples)
    K, k = (np.repeat(a, samples, axis=0) for a in (actor.K, actor.k))
    spread = np.repeat(np.linalg.cholesky(actor.cov), samples, axis=0)
    draws = rng.standard_normal(k.shape) if noise else np.zeros_like(k)
    steps = noise * (spread @ smoothed(draws, smoothing)[..., None])[..., 0]

    def act(x: Array, o: Array, t: int, rows: slice) -> Array:
        seen = x if chart is None else chart.tangent_at(x, t, group[rows])
        return (K[rows, t] @ seen[..., None])[..., 0] + k[rows, t] + steps[rows, t]

    return act


def _policy(policy: Policy, rng: np.random.Generator | None) -> Act:
    if getattr(policy, "input", "o") == "x":
        return lambda x, o, t: policy.sample(x, t, rng)
    return lambda x, o, t: policy.sample(o, t, rng)


def _drawing(policy: Policy) -> Draw:
    return lambda x, o, t, rng: _policy(policy, rng)(x, o, t)


def _row_of(policy: Policy, row: OneRow) -> Act:
    act = _policy(policy, row)

    def from_the_start(x: Array, o: Array, t: int) -> Array:
        if t == 0:
            row.restart()
        return act(x, o, t)

    return from_the_start
