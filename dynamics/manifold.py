"""States on manifolds: where angles wrap and orientations turn, differences are taken in the
tangent space.

A state's parts are real numbers, angles and unit quaternions. `difference(x, x0)` is the tangent
vector at x0 that points to x (the logarithm), and `retract(x0, d)` goes along it (the exponential).
A rotation's tangent vector is a rotation vector in the body's own frame, as MuJoCo's angular
velocities are. Derivatives are with respect to small tangent vectors e at x itself: x moves to
retract(x, e). Solà, Deray and Atchuthan, A micro Lie theory (2018).
"""

import numpy as np

from lqr import InputError

Array = np.ndarray

SIZES = {
    "real": (1, 1),
    "angle": (1, 1),
    "quaternion": (4, 3),
}  # numbers in a state, and in a tangent vector


class Manifold:
    """A product of parts, in the order in which a state holds them.

    "real" is one number; "angle" one in rad, the same after a full turn; "quaternion" four, scalar
    first, of unit length, q and -q being the same.
    """

    def __init__(self, *parts: str):
        if not parts or (unknown := [part for part in parts if part not in SIZES]):
            got = repr(unknown[0]) if parts else "none"
            raise InputError(
                f"got the part {got}; expected at least one, each of {', '.join(SIZES)}"
            )
        self.parts = parts
        ends = np.cumsum([SIZES[part] for part in parts], 0)
        self.size, self.dim = (
            int(end) for end in ends[-1]
        )  # numbers in a state x, and in a tangent vector
        self._angles = [
            (int(x) - 1, int(d) - 1)
            for part, (x, d) in zip(parts, ends, strict=True)
            if part == "angle"
        ]
        self._turns = [
            (slice(int(x) - 4, int(x)), slice(int(d) - 3, int(d)))
            for part, (x, d) in zip(parts, ends, strict=True)
            if part == "quaternion"
        ]
        plain = [
            (int(x) - 1, int(d) - 1)
            for part, (x, d) in zip(parts, ends, strict=True)
            if part != "quaternion"
        ]
        self._plain = [x for x, _ in plain], [d for _, d in plain]

    @property
    def zero(self) -> Array:
        """The state whose numbers are 0 and whose orientations are the identity, (size,)."""
        x = np.zeros(self.size)
        for place, _ in self._turns:
            x[place.start] = 1.0
        return x

    def difference(self, x: Array, x0: Array) -> Array:
        """Returns the tangent vectors (..., dim) at x0 that point to x; angles within pi."""
        x, x0 = self._checked(x), self._checked(x0)
        lead = np.broadcast_shapes(x.shape, x0.shape)[:-1]
        d = np.empty((*lead, self.dim))
        of_x, of_d = self._plain
        d[..., of_d] = x[..., of_x] - x0[..., of_x]
        for _, k in self._angles:
            d[..., k] = wrapped(d[..., k])
        for place, i in self._turns:
            d[..., i] = rotation_vector(product(conjugate(x0[..., place]), x[..., place]))
        return d

    def retract(self, x0: Array, d: Array) -> Array:
        """Returns the states (..., size) to which the tangent vectors d (..., dim) at x0 point;
        angles within pi.
        """
        x0, d = self._checked(x0), np.asarray(d, dtype=float)
        x = np.empty((*np.broadcast_shapes(x0.shape[:-1], d.shape[:-1]), self.size))
        of_x, of_d = self._plain
        x[..., of_x] = x0[..., of_x] + d[..., of_d]
        for k, _ in self._angles:
            x[..., k] = wrapped(x[..., k])
        for place, i in self._turns:
            q = product(x0[..., place], quaternion(d[..., i]))
            x[..., place] = q / np.linalg.norm(q, axis=-1, keepdims=True)
        return x

    def jacobian(self, x: Array, x0: Array) -> Array:
        """Returns the derivative of difference(x, x0) as x moves by a tangent vector at x, (...,
        dim, dim).

        For a rotation it is the inverse of the right Jacobian.
        """
        d = self.difference(x, x0)
        J = np.broadcast_to(np.eye(self.dim), (*d.shape, self.dim)).copy()
        for _, i in self._turns:
            r = d[..., i]
            angle = np.maximum(np.linalg.norm(r, axis=-1), 1e-4)[..., None, None]
            second = np.where(
                angle > 1e-3, 1 / angle**2 - 1 / (2 * angle * np.tan(0.5 * angle)), 1 / 12
            )
            R = cross(r)
            J[..., i, i] += 0.5 * R + second * (R @ R)
        return J

    def embedding(self, x: Array) -> Array:
        """Returns the derivative of the numbers in x as x moves by a tangent vector at x, (...,
        size, dim).
        """
        x = self._checked(x)
        E = np.zeros((*x.shape, self.dim))
        of_x, of_d = self._plain
        E[..., of_x, of_d] = 1.0
        for place, i in self._turns:
            for k in range(3):
                E[..., place, i.start + k] = 0.5 * product(x[..., place], np.eye(4)[k + 1])
        return E

    def curvature(self, x: Array, slope: Array) -> Array:
        """Returns the second derivative of slope' x as x moves by a tangent vector, (..., dim,
        dim).
        """
        H = np.zeros((*np.shape(x)[:-1], self.dim, self.dim))
        for place, i in self._turns:
            H[..., i, i] = (
                -0.25 * (slope[..., place] * x[..., place]).sum(-1)[..., None, None] * np.eye(3)
            )
        return H

    def _checked(self, x: Array) -> Array:
        x = np.asarray(x, dtype=float)
        if x.shape[-1:] != (self.size,):
            raise InputError(
                f"got states of shape {x.shape}; expected (..., {self.size}) for {', '.join(self.parts)}"
            )
        return x


def wrapped(angle: Array) -> Array:
    """Returns angles within [-pi, pi]."""
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))


def product(p: Array, q: Array) -> Array:
    """Returns the quaternions p q, (..., 4)."""
    w, v = p[..., :1], p[..., 1:]
    s, r = q[..., :1], q[..., 1:]
    return np.concatenate(
        [w * s - (v * r).sum(-1, keepdims=True), w * r + s * v + np.cross(v, r)], -1
    )


def conjugate(q: Array) -> Array:
    """Returns the inverses of unit quaternions (..., 4)."""
    return q * [1.0, -1.0, -1.0, -1.0]


def quaternion(r: Array) -> Array:
    """Returns the unit quaternions (..., 4) of rotation vectors (..., 3)."""
    half = 0.5 * np.linalg.norm(r, axis=-1, keepdims=True)
    return np.concatenate([np.cos(half), 0.5 * np.sinc(half / np.pi) * r], -1)


def rotation_vector(q: Array) -> Array:
    """Returns the shortest rotation vectors (..., 3) of quaternions (..., 4); q and -q give the
    same.
    """
    q = np.where(q[..., :1] < 0, -q, q)
    size = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(size, q[..., :1])
    return np.where(size > 1e-12, angle / np.maximum(size, 1e-12), 2.0) * q[..., 1:]


def cross(r: Array) -> Array:
    """Returns the matrices of the cross product, cross(r) v = r x v, (..., 3, 3)."""
    R = np.zeros((*r.shape, 3))
    R[..., 0, 1], R[..., 0, 2], R[..., 1, 2] = -r[..., 2], r[..., 1], -r[..., 0]
    return R - np.swapaxes(R, -1, -2)
