"""What an encoder is, and how all of them are trained: a network that makes codes, and an
objective.

    encoder = Trained(Keypoints((64, 64, 3)), Painting(Blobs((32, 32, 3))))
    encoder.fit(Clips(pictures, actions), rng)        # pictures of bytes (N, T+1, h, w, c)
    z = encoder(pictures)                             # (..., h, w, c) -> (..., d)

An objective has parameters of its own, a decoder or a head, and a loss of the codes of clips of a
few frames. What is learned stands in `state()`.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np

from lqr import InputError, NumericalError

from ..networks.adam import CosineAdam
from ..networks.modules import Arrays, Tensors, joined, part, to_arrays, to_tensors
from ..storage.tree import check_tree
from .colours import Colours, checked_pictures, colours_of, raw_colours

Array = np.ndarray
CHUNK = 256  # pictures that are looked at at once


class Clips(NamedTuple):
    """What encoders learn from: N clips of T steps."""

    pictures: Array  # (N, T+1, h, w, c), uint8
    u: Array | None = None  # (N, T, du), where there are actions
    labels: Array | None = None  # (N, T+1, dl), what is known of each picture, where anything is
    reward: Array | None = None  # (N, T), of each step


class Batch(NamedTuple):
    """Clips of L frames, as tensors."""

    white: Any  # (B, L, h, w, c)
    u: Any  # (B, L-1, du), or None
    labels: Any  # (B, L, dl), or None
    reward: Any  # (B, L-1), or None


class Encoder(Protocol):
    """Makes codes of pictures, without memory."""

    d: int  # numbers of a code

    def fit(self, clips: Clips, rng: np.random.Generator) -> float:
        """Learns from clips; returns the loss at the end."""
        ...

    def __call__(self, pictures: Array) -> Array:
        """Returns codes (..., d) of pictures (..., h, w, c) of bytes."""
        ...

    def state(self) -> dict[str, Any]:
        """Returns what has been learned, as a tree."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores it. Raises CheckpointError for anything else."""
        ...


class Network(Protocol):
    """Makes codes of white pictures."""

    outputs: int

    def start(self, rng: np.random.Generator) -> Arrays: ...

    def __call__(self, params: Tensors, white: Any) -> Any: ...


class Objective(Protocol):
    """What codes should be good for."""

    frames: int  # L, of a clip

    def prepare(self, clips: Clips, colours: Colours) -> None:
        """Looks at all the data, before training."""
        ...

    def start(self, rng: np.random.Generator) -> Arrays:
        """Returns new parameters of its own."""
        ...

    def loss(self, params: Tensors, codes: Any, batch: Batch) -> Any:
        """Returns the loss, a scalar, of codes (B, L, d) of a batch."""
        ...


class Trained:
    """An encoder: a network, trained to an objective on pictures in white colours."""

    def __init__(
        self,
        network: Any,
        objective: Any,
        steps: int = 700,
        batch: int = 32,
        rate: float = 3e-3,
        whiten: bool = True,
    ):
        """Trains by `steps` updates of `batch` clips, at Adam's `rate`, which falls to 0; without
        `whiten` colours stay as they are.
        """
        self.network, self.objective, self.whiten = network, objective, whiten
        self.steps, self.batch, self.rate = steps, batch, rate
        self.d: int = network.outputs
        self.colours: Colours | None = None
        self.params: Arrays = {}

    def begin(self, clips: Clips, rng: np.random.Generator) -> None:
        """Draws new parameters, and takes the colours of these pictures."""
        pictures = checked_pictures(clips.pictures)
        shape = pictures.shape[1:]
        self.colours = colours_of(pictures) if self.whiten else raw_colours(shape)  # type: ignore[arg-type]
        self.objective.prepare(clips, self.colours)
        network, own = self.network.start(rng), self.objective.start(rng)
        self.params = joined(network=network, objective=own)

    def fit(self, clips: Clips, rng: np.random.Generator) -> float:
        """Learns anew from clips; returns the mean loss of the last tenth of the updates.

        Raises InputError for clips that are too short, NumericalError where the loss is not finite.
        """
        N, T = clips.pictures.shape[0], clips.pictures.shape[1] - 1
        L = self.objective.frames
        if T + 1 < L:
            raise InputError(f"got clips of {T + 1} pictures; expected {L} or more")
        self.begin(clips, rng)
        params = to_tensors(self.params, grad=True)
        optimiser = CosineAdam(params.values(), self.rate, self.steps)
        losses = []
        for _ in range(self.steps):
            at = rng.integers(N, size=self.batch), rng.integers(T + 2 - L, size=self.batch)
            optimiser.zero_grad()
            loss = self.loss(params, self.cut(clips, *at))
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        final = float(np.mean(losses[-max(1, self.steps // 10) :]))
        if not np.isfinite(final):
            raise NumericalError(f"the encoder's loss became {final}; lower its rate")
        self.params = to_arrays(params)
        return final

    def loss(self, params: Tensors, batch: Batch) -> Any:
        """Returns the objective's loss of a batch."""
        B, L = batch.white.shape[:2]
        codes = self.network(part(params, "network"), batch.white.flatten(0, 1))
        own = part(params, "objective") if any(k.startswith("objective.") for k in params) else {}
        return self.objective.loss(own, codes.unflatten(0, (B, L)), batch)

    def cut(self, clips: Clips, rows: Array, first: Array) -> Batch:
        """Returns the clips that begin at steps `first` (B,) of clips `rows` (B,)."""
        import torch

        L = self.objective.frames
        at = rows[:, None], first[:, None] + np.arange(L)
        steps = rows[:, None], first[:, None] + np.arange(L - 1)

        def tensor(a: Array | None, index: Any) -> Any:
            return None if a is None else torch.as_tensor(a[index], dtype=torch.float32)

        assert self.colours is not None
        return Batch(
            white=torch.as_tensor(self.colours.white(clips.pictures[at])),
            u=tensor(clips.u, steps),
            labels=tensor(clips.labels, at),
            reward=tensor(clips.reward, steps),
        )

    def __call__(self, pictures: Array) -> Array:
        """Returns codes (..., d) of pictures (..., h, w, c) of bytes. Raises InputError for others,
        and before anything was learned.
        """
        return self.apply(self.network, pictures)

    def apply(self, function: Any, pictures: Array) -> Array:
        """Returns function(parameters of the network, white pictures) for pictures (..., h, w, c),
        in chunks, as float64.
        """
        import torch

        if self.colours is None:
            raise InputError("the encoder has learned nothing; expected `fit` before it is asked")
        flat, out = checked_pictures(pictures), []
        params = to_tensors(part(self.params, "network"))
        with torch.inference_mode():
            for some in np.array_split(flat, max(1, len(flat) // CHUNK)):
                white = torch.as_tensor(self.colours.white(some))
                out.append(function(params, white).double().numpy())
        found = np.concatenate(out)
        return found.reshape(*pictures.shape[:-3], *found.shape[1:])

    def state(self) -> dict[str, Any]:
        """Returns what has been learned, as a tree."""
        colours = {} if self.colours is None else self.colours._asdict()
        return {"colours": colours, "params": dict(self.params)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores it. Raises CheckpointError for another encoder's."""
        rng = np.random.default_rng(0)
        start = joined(network=self.network.start(rng), objective=self.objective.start(rng))
        form: dict[str, Any] = {
            "colours": {"mean": ("h", "w", "c"), "whiten": ("c", "c")},
            "params": {name: a.shape for name, a in start.items()},
        }
        check_tree(state, form, "encoder")
        self.colours = Colours(**state["colours"])
        self.params = dict(state["params"])
