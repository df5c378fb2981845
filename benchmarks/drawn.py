"""Worlds that are drawn, for what encoders keep: a point that is driven, one that wanders, and a
pendulum. Edges are smooth: a pixel is covered in parts.
"""

import numpy as np

from dynamics.vision.encoder import Clips

Array = np.ndarray
MOVES = np.array([[a, b] for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0)])


def disks(places: Array, colours: Array, radii: Array, side: int, ground: float = 0.3) -> Array:
    """Returns pictures (M, side, side, 3), uint8, of disks at places (M, K, 2) in [-1, 1], of
    colours (K, 3) and radii (K,); x to the right, y down; the last lies on top.
    """
    line = np.linspace(-1, 1, side)
    picture = np.full((len(places), side, side, 3), ground)
    for k, (colour, radius) in enumerate(zip(colours, radii, strict=True)):
        x, y = places[:, k, 0, None, None], places[:, k, 1, None, None]
        far = np.sqrt((line[None, None, :] - x) ** 2 + (line[None, :, None] - y) ** 2)
        cover = np.clip((radius - far) * (side - 1) / 2 + 0.5, 0, 1)[..., None]
        picture = cover * colour + (1 - cover) * picture
    return np.rint(255 * picture).astype(np.uint8)


def driven(count: int, steps: int, rng: np.random.Generator, side: int = 24) -> Clips:
    """Returns clips of a disk that actions move, and of one that wanders by itself; the labels are
    their places (N, T+1, 4).
    """
    place, other = (rng.uniform(-0.7, 0.7, (count, 2)) for _ in range(2))
    u = rng.uniform(-1, 1, (count, steps, 2))
    drift, labels = 0.15 * rng.standard_normal((count, 2)), []
    for t in range(steps + 1):
        labels.append(np.concatenate([place, other], 1))
        if t < steps:
            place = np.clip(place + 0.2 * u[:, t], -0.8, 0.8)
            drift = 0.8 * drift + 0.08 * rng.standard_normal((count, 2))
            out = np.abs(other + drift) > 0.8
            drift = np.where(out, -drift, drift)
            other = np.clip(other + drift, -0.8, 0.8)
    told = np.stack(labels, 1)
    colours = np.array([[0.2, 0.5, 0.9], [0.9, 0.8, 0.2]])
    pictures = disks(told.reshape(-1, 2, 2), colours, np.array([0.2, 0.2]), side)
    return Clips(pictures.reshape(count, steps + 1, side, side, 3), u, told)


def navigation(count: int, steps: int, rng: np.random.Generator, side: int = 16) -> Clips:
    """Returns clips of a robot that goes by nine moves in a room seen from above, with two things
    that wander, and is paid in a corner; the labels are its place (N, T+1, 2).
    """
    moves = MOVES[rng.integers(len(MOVES), size=(count, steps))]
    place = rng.uniform(-0.8, 0.8, (count, 2))
    others = rng.uniform(-0.8, 0.8, (count, 2, 2))
    labels, things, reward = [], [], []
    for t in range(steps + 1):
        labels.append(place)
        things.append(others)
        if t < steps:
            pushed = place + 0.15 * moves[:, t] + 0.01 * rng.standard_normal((count, 2))
            wall = (np.abs(pushed) > 0.85).any(1)
            place = np.clip(pushed, -0.85, 0.85)
            corner = (place > 0.45).all(1)
            reward.append(10.0 * corner - 1.0 * wall)
            others = np.clip(others + 0.1 * rng.standard_normal(others.shape), -0.8, 0.8)
    told = np.stack(labels, 1)
    every = np.concatenate([np.stack(things, 1), told[:, :, None]], 2)
    colours = np.array([[0.8, 0.3, 0.2], [0.3, 0.7, 0.3], [0.2, 0.3, 0.9]])
    pictures = disks(every.reshape(-1, 3, 2), colours, np.array([0.15, 0.15, 0.25]), side)
    shape = (count, steps + 1, side, side, 3)
    return Clips(pictures.reshape(shape), moves, told, np.stack(reward, 1))


def pendulum(count: int, steps: int, rng: np.random.Generator, side: int = 24) -> Clips:
    """Returns clips of a pendulum near its rest, which torques drive; labels are its angle and rate
    (N, T+1, 2).
    """
    angle, rate = rng.uniform(-1.0, 1.0, count), rng.uniform(-2.0, 2.0, count)
    u, labels, dt = rng.uniform(-1, 1, (count, steps, 1)), [], 0.05
    u = np.repeat(u[:, ::4], 4, 1)[:, :steps]  # held for four steps
    for t in range(steps + 1):
        labels.append(np.stack([angle, rate], 1))
        if t < steps:
            rate = rate + dt * (-5.0 * np.sin(angle) + 8.0 * u[:, t, 0] - 0.3 * rate)
            angle = angle + dt * rate
    told = np.stack(labels, 1)
    down = np.stack([np.sin(told[..., 0]), np.cos(told[..., 0])], -1)
    along = np.linspace(0.1, 0.8, 8)
    places = down.reshape(-1, 1, 2) * along[:, None]
    colours, radii = np.full((8, 3), 0.9), np.full(8, 0.1)
    pictures = disks(places, colours, radii, side)
    return Clips(pictures.reshape(count, steps + 1, side, side, 3), u, told)
