"""The local half of an iteration, as all methods share it: episodes, the trust-region test, local
models, and the report.

A method's `train` goes through `iterations()`. In each it calls `sample`, `fit_models`, the steps
of its own paper, and `update`.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import Iteration, Policy, State, Task
from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import Trajectories, rollout
from agents.rollout.visible import action_effect, cost_spread
from agents.tasks.capabilities import Interruptible, capability, manifold_of, pixels_of
from agents.training import Training
from dynamics import Chart, Fit, chart_of, error_along, make_prior
from dynamics.asking import update
from dynamics.storage.tree import check_tree
from lqr import LinearGaussianController, LinearGaussianDynamics, QuadraticCost

from .exploration import action_scale, with_std
from .initial_controllers import initial_controllers, state_dim
from .local_data import (
    LocalData,
    by_condition,
    data_of,
    recentred,
    transitions,
    tree_of,
    without_pictures,
)
from .local_models import expand_cost, fit_dynamics
from .probe import candidates, probe, probed_conditions
from .restarts import COUNTED, Start, Trials, begun, restarted, tree_of_trials, trials_of
from .settings import LocalSettings, RestartSettings
from .step_size import select_controllers, trust_region_test
from .trajectory_step import TrajectoryStep

NO_NOISE = 1e-9  # deviations of the noise, so that the draws are those of an episode with noise

Array = np.ndarray
Report = tuple[dict[str, float], dict[str, Array]]  # scalars, arrays


class LocalFit(NamedTuple):
    """What is known after the episodes of an iteration; leading axis C."""

    data: LocalData  # the accepted controllers and their episodes
    accepted: Array  # (C,) bool, were the controllers that were just tried accepted?
    predicted: Array  # (C,), improvement that the model had predicted for them
    actual: Array  # (C,), their actual improvement
    models: Fit  # the models around the accepted episodes
    cost: QuadraticCost  # the expansion there
    epsilon: Array  # (C,) nats, bound of the next step
    std_factor: Array  # (C,), on the exploration of the controllers to be tried next

    @property
    def dynamics(self) -> LinearGaussianDynamics:
        """The models' point estimates."""
        return self.models.dynamics


class LocalPolicies:
    """One controller per condition, their data, and the prior of their models."""

    def __init__(
        self,
        task: Task,
        config: LocalSettings,
        rng: np.random.Generator,
        state: State | None = None,
    ):
        """Begins, or restores what an Iteration's state holds. Raises CheckpointError for another
        task's.
        """
        self.task, self.config, self.scale = task, config, action_scale(task)
        self.prior = make_prior(config.prior, task)
        self.chart = chart_of(task)  # of the states that they see; None for plain vectors
        self.data: LocalData | None = None  # of the accepted ones
        self.initial, self.std = "zero", config.initial_std  # the first controllers', until probed
        self.restarts = config.restarts if isinstance(config, RestartSettings) else 0
        self.restarts = 0 if self.chart or task.conditions == 1 else self.restarts
        self.trials: Trials | None = None
        self.training = Training(
            task, config.iterations, state, config.evaluate_every, prior=self.prior
        )
        if state:
            self._restore(state)
        else:
            self._begin(rng)

    def _restore(self, state: State) -> None:
        check_state(state, self.task, self.restarts > 0)
        if self.chart:
            self.chart = Chart(self.chart.manifold, state["origin"])
        self.controller = LinearGaussianController(**state["controller"])
        self.data = data_of(state["local"], self.chart)
        if self.restarts:
            self.trials = trials_of(state["trials"])

    def _begin(self, rng: np.random.Generator) -> None:
        """Takes the first controllers, to be tried next, after the episodes of a probe. What moves
        in the real world is not probed, nor what is improved in a simulator first: its noise is
        what its user says.
        """
        task, config = self.task, self.config
        moves = capability(task, Interruptible) is not None or getattr(config, "pretraining", 0) > 0
        words = candidates(task) if config.initial == "best" else (config.initial,)
        words = words if config.probe and not moves else words[:1]  # zero comes first
        controllers = {word: initial_controllers(task, config, word) for word in words}
        self.initial, self.std = words[0], config.initial_std
        most = config.max_std if config.probe and not moves else 0.0
        if len(words) > 1 or self.std < most:
            at = probed_conditions(task)
            chart = self.chart and Chart(self.chart.manifold, self.chart.origin[at])

            seed = int(rng.integers(2**32))  # one for all: they differ in the noise alone

            def run(controller: LinearGaussianController, std: float, sign: int) -> Trajectories:
                noisy = self.with_std(controller, std)
                found = rollout(
                    task,
                    LinearGaussianController(*(a[at] for a in noisy)),
                    at,
                    samples=1,
                    rng=np.random.default_rng(seed),
                    noise=sign or NO_NOISE,
                    smoothing=config.smoothing,
                    chart=chart,
                )
                return self.training.count(found, explored=False)

            found = probe(controllers, run, self.std, most, config.kl_step)
            self.initial, self.std = found.initial, found.std
        self.controller = self.with_std(controllers[self.initial], self.std)

    def with_std(
        self, controller: LinearGaussianController, std: float
    ) -> LinearGaussianController:
        """Returns controllers with the same noise in all actions, in shares of half their range."""
        cov = np.diag((std * self.scale) ** 2)
        return controller._replace(cov=np.broadcast_to(cov, controller.cov.shape).copy())

    def iterations(self) -> range:
        """Returns the numbers of the iterations that are still to come."""
        return self.training.iterations()

    def sample(self, rng: np.random.Generator, policy: Policy | None = None) -> LocalData:
        """Returns episodes of the controllers, or of a policy, condition by condition; the prior
        learns from them.
        """
        every = np.arange(self.task.conditions)
        self.trajectories: Trajectories = rollout(
            self.task,
            policy or self.controller,
            every,
            self.config.samples,
            rng,
            smoothing=self.config.smoothing,
            chart=self.chart,
            antithetic=self.config.antithetic,
        )
        self.training.count(self.trajectories)
        new = by_condition(self.trajectories, self.controller, np.ones(len(every)), self.chart)
        update(self.prior, *transitions(new))
        return new

    def dynamics_and_cost(self, data: LocalData) -> tuple[LinearGaussianDynamics, QuadraticCost]:
        """Returns the models around these episodes, and the expansion of the cost there."""
        models = fit_dynamics(data, self.prior, self.config.prior_strength)
        return models.dynamics, expand_cost(self.task.cost, data)

    def fit_models(self, new: LocalData, accept_all: bool = False) -> LocalFit:
        """Returns the outcome of the trust-region test of the new episodes, and the models around
        those that are accepted; see `trust_region_test`.
        """
        config, new = self.config, without_pictures(new, self.task)
        predicted = self.data.predicted if self.data else np.zeros(len(new.cost))
        data, accepted, actual, growth = trust_region_test(self.data, new, accept_all=accept_all)
        # a step's size, squared, is that of the noise times the KL
        multiplier = np.clip(
            data.multiplier * growth ** (1 - config.std_share),
            0.01,
            config.max_kl_step / config.kl_step,
        )
        data = recentred(data._replace(multiplier=multiplier))
        return LocalFit(
            data=data,
            accepted=accepted,
            predicted=predicted,
            actual=actual,
            models=fit_dynamics(data, self.prior, self.config.prior_strength),
            cost=expand_cost(self.task.cost, data),
            epsilon=config.kl_step * multiplier,
            std_factor=growth ** (0.5 * config.std_share),
        )

    def explored(self, fit: LocalFit, step: TrajectoryStep) -> LinearGaussianController:
        """Returns the controllers of a step with their exploration scaled by `fit.std_factor`,
        within `min_std` and `max_std`.
        """
        cov = step.controller.cov * fit.std_factor[:, None, None, None] ** 2
        most = max(self.config.max_std, self.config.initial_std, self.config.min_std)
        return with_std(step.controller._replace(cov=cov), self.scale, self.config.min_std, most)

    def update(self, fit: LocalFit, step: TrajectoryStep) -> None:
        """Takes the controllers of a step as those to be tried next."""
        self.controller, self.chart = self.explored(fit, step), fit.data.chart
        self.data = fit.data._replace(predicted=step.predicted + fit.data.baseline)
        if self.restarts:
            now = Start(self.data, self.controller)
            trials, now = restarted(
                self.trials or begun(now),
                now,
                self.task.cost,
                self.with_std(initial_controllers(self.task, self.config, self.initial), self.std),
                self.restarts,
            )
            self.trials, self.data, self.controller = trials, now.data, now.controller

    @property
    def best(self) -> LinearGaussianController:
        """The controllers to try next; where a restart is on trial, what was kept aside."""
        if self.trials is None:
            return self.controller
        return select_controllers(self.trials.on, self.trials.controller, self.controller)

    def report(self, fit: LocalFit, step: TrajectoryStep, rng: np.random.Generator) -> Report:
        """Returns the metrics row and the arrays for figures, after noise-free episodes of the
        controllers to try next.

        "predicted" and "actual" are the improvements of the controllers that were just tried;
        "mean" and "cov", what their models predict, are NaN past the end of the longest episode.
        """
        chart = fit.data.chart
        test = self.training.evaluate(self.best, rng, chart=self.chart)
        x = test.x if chart is None else chart.to_tangent(test.x[:, None])[:, 0]
        # on episodes that the models have not seen
        error = np.where(test.mask, error_along(fit.dynamics, x, test.u), np.nan)
        scalars = self.training.row(
            test,
            sampled_cost=self.trajectories.valid.costs.mean(),
            kl=step.kl.mean(),
            epsilon=step.epsilon.mean(),
            eta=median_eta(step),
            predicted=fit.predicted.mean(),
            actual=fit.actual.mean(),
            accepted=fit.accepted.mean(),
            unsolved=(~step.solved).sum(),
            diverged=self.trajectories.failed.sum() + test.failed.sum(),
            evidence=fit.models.evidence,
            prior_strength=fit.models.strength,
            std=mean_std(step.controller),
            one_step_error=root_mean_square(error),
            cost_spread=cost_spread(self.trajectories, self.task.conditions),
            action_effect=action_effect(self.trajectories, self.task.conditions),
        )
        if self.trials is not None:
            scalars["restarted"] = float(self.trials.on.sum())
        mean, cov = (
            chart.state_distribution(step.mean, step.cov) if chart else (step.mean, step.cov)
        )
        ended = np.pad(~fit.data.used.any(1), ((0, 0), (1, 0)))  # (C, T+1), no episode got there
        arrays = {
            "cost": test.costs,
            "predicted": fit.predicted,
            "actual": fit.actual,
            "model_error": error,
            "kl": step.kl,
            "eta": step.eta,
            "epsilon": step.epsilon,
            "mean": np.where(ended[..., None], np.nan, mean),
            "cov": np.where(ended[..., None, None], np.nan, cov),
            "x": states_by_condition(self.trajectories.states, self.task),
        }
        return scalars, arrays

    def iteration(self, fit: LocalFit, step: TrajectoryStep, rng: np.random.Generator) -> Iteration:
        """Returns what a method without a global policy yields."""
        scalars, arrays = self.report(fit, step, rng)
        policy = ControllerPolicy(self.best, self.chart)
        return self.training.iteration(policy, scalars, arrays, self.state())

    def state(self) -> dict[str, Any]:
        """Returns, as a tree, what new `LocalPolicies` need to go on, beside counts and prior."""
        assert self.data is not None
        local = tree_of(self.data)
        origin = {"origin": self.data.chart.origin} if self.data.chart else {}
        trials = {} if self.trials is None else {"trials": tree_of_trials(self.trials)}
        return origin | trials | {"controller": self.controller._asdict(), "local": local}


def median_eta(step: TrajectoryStep) -> float:
    """Returns the median of eta where a step was found, else 0."""
    return float(np.median(step.eta[step.solved])) if step.solved.any() else 0.0


def root_mean_square(a: Array) -> float:
    """Returns the root mean square of what is not NaN; NaN where all is."""
    known = a[~np.isnan(a)]
    return float(np.sqrt((known**2).mean())) if known.size else math.nan


def mean_std(controller: LinearGaussianController) -> float:
    """Returns the root mean square of the standard deviations of all actions."""
    return float(np.sqrt(np.einsum("ctii->", controller.cov) / controller.k.size))


def states_by_condition(x: Array, task: Task) -> Array:
    """Returns the states of episodes (CN, T+1, dx) as (C, N, T+1, dx)."""
    return x.reshape(task.conditions, -1, *x.shape[1:])


def check_state(state: State, task: Task, restarts: bool = False) -> None:
    """Raises CheckpointError where a state of `LocalPolicies`, with `restarts` or without, does not
    fit the task.
    """
    C, T, dx, du = task.conditions, task.horizon, state_dim(task), task.du
    controller = {"K": (C, T, du, dx), "k": (C, T, du), "cov": (C, T, du, du)}
    local = {
        "controller": controller,
        "x": (C, "N", T + 1, dx),
        "u": (C, "N", T, du),
        "o": (C, "N", T + 1, 0 if pixels_of(task) else task.do),
        "used": (C, "N", T),
        "cost": (C,),
        "multiplier": (C,),
        "predicted": (C,),
        "baseline": (C,),
        "variation": (C,),
        "error": (C,),
    }
    form: dict[str, Any] = {"controller": controller, "local": local}
    if restarts:
        form["trials"] = dict.fromkeys(COUNTED, (C,)) | {"data": local, "controller": controller}
    if manifold_of(task):
        form["origin"] = (C, T + 1, task.dx)
    check_tree({key: state.get(key) for key in form}, form, "state")
