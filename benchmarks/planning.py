"""Planning: `python -m benchmarks.planning random`, `truth`, `cheetah`, `plans`, `throughput`.

random       returns of random actions in the benchmark's environments, beside the published ones
truth        CEM of 500 sequences, 30 steps, 5 iterations, and random shooting of 1000 sequences, 10 steps, in the true
             model of the benchmark's environments: returns beside the published ones
cheetah      CEM, iCEM and MPPI at equal model calls in the true half cheetah: returns of 200 steps
plans        plans per CPU second in the true model of the cart-pole swing-up
throughput   plans per CPU second in an ensemble of five networks, beside mbrl-lib's where that is installed

mbrl-lib's pins contradict ours, so that it needs an environment of its own: python -m venv
--system-site-packages X; X/bin/pip install --no-deps mbrl hydra-core omegaconf
antlr4-python3-runtime==4.9.3 tqdm termcolor; then X/bin/python -m benchmarks.planning throughput
"""

import argparse
import time
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

from agents.mpc.steps.policy import MPC
from agents.planners import CEM, ICEM, MPPI, Objective, RandomShooting
from agents.planners.models import LearnedModel, SimulatorModel
from agents.rollout import rollout, run
from agents.tasks import make_task
from dynamics import Ensemble

Array = np.ndarray

RANDOM = {  # Wang et al. (2019), and their definitions as re-implemented with Gymnasium 1.4 and MuJoCo 4.0
    "mbbl_pendulum": ((-202.6, 249.3), (-202.8, 248.8)),
    "mbbl_cartpole": ((38.4, 32.5), (38.7, 37.9)),
    "mbbl_mountain_car": ((-105.1, 1.8), (-105.9, 2.5)),
    "mbbl_acrobot": ((-374.5, 17.1), (-370.9, 18.3)),
    "mbbl_inverted_pendulum": ((-205.1, 13.6), (-205.0, 12.8)),
    "mbbl_reacher": ((-45.7, 4.8), (-43.1, 4.2)),
    "mbbl_half_cheetah": ((-288.3, 65.8), (-238.6, 46.1)),
    "mbbl_swimmer": ((1.2, 11.2), (1.6, 10.0)),
}
PUBLISHED = {  # GT-CEM and GT-RS of Wang et al. (2019), and their definitions as re-implemented
    "mbbl_pendulum": ((170.5, 35.2), (173.1, 25.8), (171.5, 31.8), (152.6, 42.0)),
    "mbbl_cartpole": ((199.9, 0.1), (201.0, 0.0), (200.0, 0.0), (201.0, 0.0)),
    "mbbl_mountain_car": ((-58.0, 2.9), (-58.9, 2.1), (-68.5, 2.2), (-67.3, 1.4)),
    "mbbl_acrobot": ((13.9, 40.5), (6.6, 43.2), (2.5, 39.4), (38.9, 29.6)),
}
TRUE = {
    "CEM": (CEM(500, 50, 5), 30),
    "random shooting": (RandomShooting(1000), 10),
}  # planner and steps ahead
SIZES = (
    (60, 6, 3, 5),
    (400, 40, 5, 20),
)  # sequences, elites, iterations, particles: light, and PETS's own
HORIZON, HIDDEN = 25, 64
BUDGET = {  # planners of about as many sequences per step; elites, colour and temperature are the best of a few tried
    "CEM": CEM(12, 2, 3),
    "iCEM": ICEM(14, 2, 3, colour=1.0, share=0.5),
    "MPPI": MPPI(36, std=0.5),
}


def main() -> None:
    """Runs the part that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("random", "truth", "cheetah", "plans", "throughput"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    asked = parser.parse_args()
    if asked.part == "truth":
        truth(asked.tasks, asked.seeds)
    elif asked.part == "cheetah":
        cheetah(asked.seeds)
    else:
        {"random": random, "plans": plans, "throughput": throughput}[asked.part]()


def random(episodes: int = 100) -> None:
    """Prints a row per environment; a gap is in standard errors of the difference of two means of
    so many episodes.
    """
    print(f"returns of uniformly random actions, {episodes} episodes")
    print("| environment | here | standard error | published | gap | re-implemented | gap |")
    print("|---|---|---|---|---|---|---|")
    for name, rows in RANDOM.items():
        task, rng = make_task(name), np.random.default_rng(0)
        actions = lambda x, o, t, du=task.du, rng=rng: rng.uniform(-1, 1, size=(episodes, du))  # noqa: E731
        trajectories = run(task, actions, np.zeros(episodes, int), rng)
        found = task.metrics(trajectories.x, trajectories.u)["return"]
        texts = [
            f"{found.mean():.1f} +- {found.std():.1f}",
            f"{found.std() / np.sqrt(episodes):.1f}",
        ]
        for mean, std in rows:
            gap = abs(found.mean() - mean) / np.sqrt((found.var() + std**2) / episodes)
            texts += [f"{mean} +- {std}", f"{gap:.1f}"]
        print(f"| `{name}` | {' | '.join(texts)} |", flush=True)


def truth(tasks: list[str], seeds: int) -> None:
    """Prints the returns of an episode of each seed; the states are planned in exactly as they
    are.
    """
    for name in tasks:
        task = make_task(name)
        for (word, (planner, horizon)), known in zip(
            TRUE.items(), np.reshape(PUBLISHED[name], (2, 2, 2)), strict=True
        ):
            found, used = [], 0.0
            for seed in range(seeds):
                policy = mpc(task, SimulatorModel(task), planner, horizon)
                episode = rollout(task, policy, np.zeros(1, int), 1, np.random.default_rng(seed))
                found.append(float(task.metrics(episode.x, episode.u)["return"][0]))
                used = policy.calls / policy.acts
            text = ", ".join(f"{value:.1f}" for value in found)
            (mean, std), (again, spread) = known
            print(
                f"{name}, {word}: {text}; mean {np.mean(found):.1f} +- {np.std(found):.1f}, published {mean} +- {std}, "
                f"re-implemented {again} +- {spread}; {used:.0f} model calls per step",
                flush=True,
            )


def cheetah(seeds: int) -> None:
    """Prints the returns of an episode of 200 steps, and the ratio of their mean to CEM's."""
    base = 0.0
    for name, planner in BUDGET.items():
        found, used = [], 0.0
        for seed in range(seeds):
            task = make_task("half_cheetah", horizon=200)
            policy = mpc(task, SimulatorModel(task), planner, 30)
            episode = rollout(task, policy, np.zeros(1, int), 1, np.random.default_rng(seed))
            found.append(float(task.metrics(episode.x, episode.u)["return"][0]))
            used += policy.calls / policy.acts / seeds
        base = base or float(np.mean(found))
        text = ", ".join(f"{value:.0f}" for value in found)
        print(
            f"{name}: {text}; mean {np.mean(found):.0f}, {np.mean(found) / base:.2f} of CEM, {used:.0f} calls per step"
        )


def plans() -> None:
    """Prints the plans per CPU second, of both sizes, in the true cart-pole of PILCO's
    constants.
    """
    task = make_task("cartpole")
    for samples, elites, iterations, _ in SIZES:
        policy = mpc(task, SimulatorModel(task), CEM(samples, elites, iterations), HORIZON)
        rng = np.random.default_rng(0)
        x = task.reset(np.zeros(1, int), rng)
        rate = per_second(
            lambda policy=policy, x=x, rng=rng: policy.plan(x[0], 0, np.zeros((0, HORIZON, 1)), rng)
        )
        print(
            f"true cart-pole, {samples} x {iterations} x {HORIZON}: {rate:.0f} plans per CPU second"
        )


def throughput() -> None:
    """Prints the plans per CPU second with equal population, iterations, horizon, particles and
    networks.
    """
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(400, 5)), rng.normal(size=(400, 1))
    model = Ensemble(hidden=(HIDDEN, HIDDEN), steps=10)
    model.fit(x, u, x + 0.1 * np.tanh(x) + 0.1 * u, rng)
    task = make_task("pets_cartpole")
    for samples, elites, iterations, particles in SIZES:
        world, search = LearnedModel(model, "tsinf", particles), CEM(samples, elites, iterations)
        objective = Objective(world, task.cost, x[0], 0, HORIZON, task.horizon, rng)
        args = (objective, np.zeros((0, HORIZON, 1)), task.action_low, task.action_high, rng)
        ours = per_second(lambda search=search, args=args: search(*args))
        text = (
            f"{samples} x {iterations} x {HORIZON} x {particles}: {ours:.2f} plans per CPU second"
        )
        try:
            theirs = per_second(peer(samples, elites, iterations, particles))
            text += f", mbrl-lib {theirs:.2f}: {ours / theirs:.1f} times"
        except ImportError:
            text += ", mbrl-lib is not installed"
        print(text, flush=True)


def peer(samples: int, elites: int, iterations: int, particles: int) -> Callable[[], Any]:
    """Returns mbrl-lib's plan in an ensemble of the same size, with its normaliser and the same
    reward.
    """
    import torch
    from gymnasium.spaces import Box

    models, planning = import_module("mbrl.models"), import_module("mbrl.planning")
    silu = {"_target_": "torch.nn.SiLU"}
    omega = import_module("omegaconf").OmegaConf.create(silu)
    net = models.GaussianMLP(
        6, 5, "cpu", 3, 5, HIDDEN, propagation_method="fixed_model", activation_fn_cfg=omega
    )
    wrapped = models.OneDTransitionRewardModel(
        net, target_is_delta=True, normalize=True, learned_rewards=False
    )
    wrapped.input_normalizer.update_stats(np.random.default_rng(0).normal(size=(400, 6)))
    spaces = SimpleNamespace(
        observation_space=Box(-np.inf, np.inf, (5,)), action_space=Box(-3, 3, (1,))
    )

    def reward(u: Any, x: Any) -> Any:
        tip = torch.stack([x[:, 0] - 0.6 * x[:, 2], -0.6 * x[:, 1] - 0.6], -1)
        return (torch.exp(-(tip**2).sum(-1) / 0.36) - 0.01 * (u**2).sum(-1))[:, None]

    env = models.ModelEnv(
        spaces, wrapped, lambda u, x: torch.zeros(len(x), 1, dtype=torch.bool), reward
    )
    low, high = [[-3.0]] * HORIZON, [[3.0]] * HORIZON
    search = planning.CEMOptimizer(
        iterations, elites / samples, samples, low, high, 0.1, "cpu", True
    )
    start = np.random.default_rng(1).normal(size=5)
    zero = torch.zeros(HORIZON, 1)
    return lambda: search.optimize(
        lambda U: env.evaluate_action_sequences(U, start, particles), x0=zero
    )


def mpc(task: Any, world: Any, planner: Any, horizon: int) -> MPC:
    """Returns the closed loop for the task's own cost."""
    limits = {"low": task.action_low, "high": task.action_high}
    return MPC(world, planner, task.cost, horizon, steps=task.horizon, **limits)


def per_second(work: Callable[[], Any], least: float = 1.0) -> float:
    """Returns how often it is done per CPU second of this thread: the median of blocks, after one
    that warms up.
    """
    import torch

    torch.set_num_threads(1)
    work()
    rates = []
    for _ in range(5):
        count, start = 0, time.process_time()
        while time.process_time() - start < least / 5:
            work()
            count += 1
        rates.append(count / (time.process_time() - start))
    return float(np.median(rates))


if __name__ == "__main__":
    main()
