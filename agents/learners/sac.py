"""Soft actor-critic of our own: any data, any number of updates for each step, little time.

Haarnoja, Zhou, Abbeel & Levine, Soft Actor-Critic (2018) and Soft Actor-Critic Algorithms and
Applications (2018): twin critics, their targets, and a temperature that is learned as well.

    y            =  r + gamma (1 - end) (min_j Q'_j(o', a') - alpha log pi(a' | o')),   a' ~ pi(o')
    Q_j         <-  arg min E (Q_j(o, a) - y)^2
    pi          <-  arg min E (alpha log pi(a | o) - min_j Q_j(o, a)),   a = tanh(mean + std e)
    log alpha   <-  arg min E (-log alpha (log pi(a | o) + target_entropy))
    Q'          <-  Q' + tau (Q - Q')

Actions are within -1 and 1 inside, observations and rewards in fixed units (`Units`). With
`layer_norm` the critics' layers are normalised, as DroQ's are (Hiraoka et al. 2022).
"""

from typing import Any, NamedTuple

import numpy as np

from dynamics.storage.tree import check_tree

from ..interfaces import Array, State
from ..policies.layers import units
from ..policies.squashed import LOG_STD, SquashedPolicy
from .relu_networks import ReluNetworks, follow

LOG_2PI = float(np.log(2 * np.pi))


class Units(NamedTuple):
    """What observations and rewards are measured in. A constant in the reward changes nothing: an
    end is worth what `centre` for ever would be less.
    """

    o_mean: Array  # (do,)
    o_std: Array  # (do,)
    r_mean: Array  # ()
    r_std: Array  # ()

    @classmethod
    def of(cls, o: Array, reward: Array) -> "Units":
        """Returns the units of observations (M, do) and rewards (M,)."""
        std = reward.std()
        known = std > 1e-9 * np.abs(reward).max()
        size = std if known else max(float(np.abs(reward).max()), 1e-300)
        return cls(*units(o), np.array(reward.mean()), np.array(size if size > 1e-299 else 1.0))

    def batch(
        self, policy: SquashedPolicy, o: Array, u: Array, reward: Array, onext: Array, end: Array,
        t: Any,
    ) -> "Batch":  # fmt: skip
        """Returns transitions in these units, of the type t, actions in units of the policy's
        limits.
        """
        return Batch(
            ((o - self.o_mean) / self.o_std).astype(t),
            ((u - policy.middle) / policy.half).astype(t),
            ((reward - self.r_mean) / self.r_std).astype(t),
            ((onext - self.o_mean) / self.o_std).astype(t),
            end.astype(t),
        )

    def end_value(self, discount: float) -> float:
        """Returns what an end is worth, in units of reward: nothing comes after it, where the mean
        reward for ever is called 0.
        """
        return float(-self.r_mean / self.r_std / (1.0 - discount))


class Batch(NamedTuple):
    """Transitions in the learner's units."""

    o: Array  # (B, do)
    a: Array  # (B, du), within -1 and 1
    reward: Array  # (B,)
    onext: Array  # (B, do)
    end: Array  # (B,), 1 where the episode ended


class Told(NamedTuple):
    """What an update tells."""

    critic_loss: float  # mean squared error of the critics, in the unit of reward squared
    entropy: float  # of the policy's actions within -1 and 1, nats
    temperature: float


class SAC:
    """The networks; `policy` acts by them as they are."""

    def __init__(
        self,
        low: Array,
        high: Array,
        units: Units,
        rng: np.random.Generator,
        hidden: tuple[int, ...] = (64, 64),
        discount: float = 0.99,
        actor_rate: float = 1e-3,
        critic_rate: float = 1e-3,
        temperature_rate: float = 1e-3,
        track: float = 0.005,
        target_entropy: float | None = None,
        temperature: float = 1.0,
        layer_norm: bool = False,
        dtype: Any = np.float32,
    ):
        """`track` is tau; `target_entropy` is minus the number of actions where it is None."""
        do, du = len(units.o_mean), len(low)
        self.low, self.high, self.units, self.discount, self.track = (
            low,
            high,
            units,
            discount,
            track,
        )
        self.rates = actor_rate, critic_rate, temperature_rate
        self.target_entropy = -float(du) if target_entropy is None else target_entropy
        self.dtype = dtype
        self.actor = ReluNetworks((do, *hidden, 2 * du), 1, rng, dtype=dtype)
        self.critic = ReluNetworks((do + du, *hidden, 1), 2, rng, layer_norm, dtype)
        self.target = ReluNetworks((do + du, *hidden, 1), 2, rng, layer_norm, dtype)
        self.target.flat[:] = self.critic.flat
        self.log_alpha = np.array([np.log(temperature), 0.0, 0.0])  # with Adam's two moments
        self.updates = 0
        self.policy = self._policy()

    def measure(self, units: Units) -> None:
        """Takes over other units, which the networks have not seen yet."""
        self.units = units
        self.policy = self._policy()

    def _policy(self) -> SquashedPolicy:
        W, b = self.actor.layers()
        return SquashedPolicy(W, b, self.units.o_mean, self.units.o_std, self.low, self.high)

    @property
    def alpha(self) -> float:
        """The temperature."""
        return float(np.exp(self.log_alpha[0]))

    @property
    def end_value(self) -> float:
        """What an end is worth, in units of reward."""
        return self.units.end_value(self.discount)

    def batch(self, o: Array, u: Array, reward: Array, onext: Array, end: Array) -> Batch:
        """Returns transitions in the learner's units: (B, do), (B, du), (B,), (B, do), (B,)."""
        return self.units.batch(self.policy, o, u, reward, onext, end, self.dtype)

    def act(self, o: Array, e: Array) -> tuple[Array, Array, Any]:
        """Returns actions (B, du), the logarithms of their densities (B,), and what
        `actor_slope` needs, for observations (B, do) in units and noise e (B, du).
        """
        out = self.actor.forward(o)[0]
        du = e.shape[1]
        log_std = np.clip(out[:, du:], *LOG_STD)
        free = log_std == out[:, du:]
        std = np.exp(log_std)
        v = out[:, :du] + std * e
        a = np.tanh(v)
        # log(1 - tanh(v)^2) = 2 (log 2 - v - softplus(-2 v))
        squash = 2 * (np.log(2.0) - v - np.logaddexp(0.0, -2 * v))
        logp = (-0.5 * e**2 - log_std - 0.5 * LOG_2PI - squash).sum(1).astype(self.dtype)
        return a, logp, (a, std * e, free)

    def actor_slope(self, known: Any, by_action: Array, by_logp: Array) -> None:
        """Leaves the actor's gradient in it, of a loss with these slopes with respect to the last
        actions (B, du) and their log densities (B,).
        """
        a, spread, free = known
        by_v = by_action * (1 - a**2) + by_logp[:, None] * (2 * a)
        by_log_std = (by_v * spread - by_logp[:, None]) * free
        self.actor.backward(np.concatenate([by_v, by_log_std], 1)[None].astype(self.dtype))

    def value(self, networks: ReluNetworks, o: Array, a: Array) -> Array:
        """Returns what each of the critics says, (2, B)."""
        return networks.forward(np.concatenate([o, a], 1))[..., 0]

    def targets(self, batch: Batch, rng: np.random.Generator) -> Array:
        """Returns y (B,), one step ahead."""
        return self.bootstrap(batch.reward, batch.end, batch.onext, rng)

    def bootstrap(self, reward: Array, end: Array, onext: Array, rng: np.random.Generator) -> Array:
        """Returns reward + gamma V(o') (B,), or the value of an end in its place."""
        a, logp, _ = self.act(onext, self.noise(len(onext), rng))
        value = self.value(self.target, onext, a).min(0) - self.dtype(self.alpha) * logp
        ahead = np.where(end > 0, self.dtype(self.end_value), value)
        return (reward + self.dtype(self.discount) * ahead).astype(self.dtype)

    def update_critic(self, o: Array, a: Array, y: Array) -> float:
        """Moves the critics towards y (B,); returns their mean squared error before."""
        gap = self.value(self.critic, o, a) - y
        self.critic.backward((gap / self.dtype(len(y)))[..., None])
        self.critic.step(self.rates[1])
        follow(self.target.flat, self.critic.flat, self.dtype(self.track))
        return float((gap**2).mean())

    def action_value(self, o: Array, a: Array) -> tuple[Array, Array]:
        """Returns the lesser of the critics' values (B,), and its slopes with respect to the
        actions (B, du).
        """
        q = self.value(self.critic, o, a)
        least = (q == q.min(0)).astype(self.dtype)
        least /= least.sum(0)
        return q.min(0), self.critic.input_slope(least[..., None]).sum(0)[:, o.shape[1] :]

    def update_actor(self, o: Array, rng: np.random.Generator) -> float:
        """Moves the policy, and the temperature; returns the entropy."""
        a, logp, known = self.act(o, self.noise(len(o), rng))
        _, slope = self.action_value(o, a)
        B = self.dtype(len(o))
        by_logp = np.full(len(o), self.alpha / len(o), self.dtype)
        self.actor_slope(known, -slope / B, by_logp)
        self.actor.step(self.rates[0])
        entropy = -float(logp.mean())
        self.update_temperature(entropy)
        return entropy

    def update_temperature(self, entropy: float) -> None:
        """Raises the temperature where the entropy is below its target, by Adam."""
        self.updates += 1
        log, mean, square = self.log_alpha
        g, n = entropy - self.target_entropy, self.updates
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
        log -= self.rates[2] * mean / (1 - 0.9**n) / (np.sqrt(square / (1 - 0.999**n)) + 1e-8)
        self.log_alpha[:] = log, mean, square

    def update(self, batch: Batch, rng: np.random.Generator, y: Array | None = None) -> Told:
        """One update of all, towards y (B,), or else what is known one step ahead."""
        y = self.targets(batch, rng) if y is None else y
        loss = self.update_critic(batch.o, batch.a, y)
        return Told(loss, self.update_actor(batch.o, rng), self.alpha)

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        return {
            "actor": self.actor.state(),
            "critic": self.critic.state(),
            "target": self.target.flat.astype(float),
            "log_alpha": self.log_alpha.copy(),
            "updates": self.updates,
            "units": self.units._asdict(),
        }

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        check_tree(state, self.form(), "sac")
        self.actor.load_state(state["actor"])
        self.critic.load_state(state["critic"])
        self.target.flat[:] = state["target"]
        self.log_alpha, self.updates = state["log_alpha"].copy(), state["updates"]
        self.units = Units(**state["units"])
        self.policy = self._policy()

    def form(self) -> dict[str, Any]:
        """Returns the form of its state, as `check_tree` takes it."""

        def networks(count: int) -> dict[str, Any]:
            return {**dict.fromkeys(("flat", "mean", "square"), (count,)), "number": int}

        do = len(self.units.o_mean)
        return {
            "actor": networks(len(self.actor.flat)),
            "critic": networks(len(self.critic.flat)),
            "target": (len(self.target.flat),),
            "log_alpha": (3,),
            "updates": int,
            "units": {"o_mean": (do,), "o_std": (do,), "r_mean": (), "r_std": ()},
        }

    def noise(self, count: int, rng: np.random.Generator) -> Array:
        """Returns noise of actions, (count, du)."""
        return rng.standard_normal((count, len(self.low)), dtype=np.float32).astype(self.dtype)
