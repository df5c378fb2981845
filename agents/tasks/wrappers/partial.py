"""Tasks that do not show the policy their whole state: the local controllers see it all, the policy
a part.

`point_mass_hidden` and `reacher_four_hidden` hide velocities: without memory, braking in time is
guesswork. `reacher_images` shows a picture of the arm and its target from above in place of their
places.
"""

import os
from functools import cached_property
from typing import Any

import numpy as np

from dynamics.vision.pictures import observed
from lqr import InputError

from ...settings import Count, Whole, typed
from ..capabilities import Views
from ..classic.point_mass import PointMass
from ..mujoco.reacher import LINKS, Reacher, ReacherFour, sample_layout, tip_of

Array = np.ndarray
OUTMOST = 3.0  # rad, of the elbow, in reacher.xml
ADVICE = "apt-get install --no-install-recommends libegl1 libgl1"


class PointMassHidden(PointMass):
    """Four starts, and half as many steps, twice as long; the policy sees position - target (2,
    m).
    """

    name, do = "point_mass_hidden", 2
    horizon, dt = 50, 0.1

    def __init__(self, conditions: Count = 4):
        super().__init__(conditions)

    def observe(self) -> Array:
        """Returns position - target, (B, 2)."""
        return self.x[:, :2].copy()


class ReacherFourHidden(ReacherFour):
    """The policy sees cosines and sines of the angles, the target, and fingertip - target (8
    numbers).
    """

    name, do = "reacher_four_hidden", 8

    def observe(self) -> Array:
        """Returns Gymnasium's observation without the velocities, (B, 8)."""
        return np.delete(super().observe(), [6, 7], 1)

    def observation_of(self, x: Array) -> Array:
        """Returns what is seen (..., 8) in states x (..., 6)."""
        return np.delete(super().observation_of(x), [6, 7], -1)


class ReacherImages(Reacher):
    """Reacher-v5's arm, targets and cost; the policy sees a picture from above, then cosines, sines
    and velocities.

    The picture, size x size pixels of red, green and blue, is rendered by MuJoCo; an observation is of
    float32, n / 255 for each byte n of it. Raises InputError where there is no OpenGL.
    """

    name, env_id = "reacher_images", None
    observation_of = None  # type: ignore[assignment]  # a picture has to be rendered
    start_measures = None  # type: ignore[assignment]  # no number of it is the target's place
    label_names = (
        "tip x (m)",
        "tip y (m)",
        "elbow x (m)",
        "elbow y (m)",
        "target x (m)",
        "target y (m)",
    )

    @typed
    def __init__(
        self,
        conditions: Count = 8,
        size: Count = 64,
        layout_seed: Whole = 20_000,
        covering: bool = False,
    ):
        super().__init__(conditions, layout_seed, covering=covering)
        self.image = (size, size, 3)
        self.do = size * size * 3 + 6

    def observe(self) -> Array:
        """Returns pictures and proprioception, (B, size * size * 3 + 6), float32."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        rest = np.concatenate([np.cos(q[:, :2]), np.sin(q[:, :2]), v[:, :2]], 1)
        return observed(self.pictures(), rest)

    def pictures(self) -> Array:
        """Returns what is seen from above now, (B, size, size, 3), uint8."""
        import mujoco

        renderer, camera = self._eye
        data = mujoco.MjData(self.model)
        out = np.empty((len(self._sim.field("qpos")), *self.image), np.uint8)
        for i, (q, v) in enumerate(
            zip(self._sim.field("qpos"), self._sim.field("qvel"), strict=True)
        ):
            data.qpos[:], data.qvel[:] = q, v
            mujoco.mj_kinematics(self.model, data)
            mujoco.mj_camlight(self.model, data)
            renderer.update_scene(data, camera)
            out[i] = halved(renderer.render())
        return out

    def goal_pictures(self) -> Array:
        """Returns pictures of the arm with its tip at each condition's target, (C, size, size, 3),
        uint8; of the two ways to bend it, that nearer to where it starts.
        """
        other = ReacherImages(1, self.image[0])
        other.start(angles_at(self.targets, self.angles), np.zeros_like(self.targets), self.targets)
        return other.pictures()

    def held_out(self) -> "ReacherImages":
        """Returns the task with 40 other targets."""
        return ReacherImages(40, self.image[0], layout_seed=99)

    def views(self, count: int, rng: np.random.Generator) -> Views:
        """Returns so many pictures of the arm at random angles, each with a target of its own, and
        where tip, elbow and target are (m).
        """
        other = ReacherImages(1, self.image[0])
        angles = rng.uniform(-np.pi, np.pi, (count, 2)) * (1, OUTMOST / np.pi)
        _, targets = sample_layout(count, rng)
        other.start(angles, np.zeros((count, 2)), targets)
        elbow = LINKS[0] * np.stack([np.cos(angles[:, 0]), np.sin(angles[:, 0])], -1)
        places = np.concatenate([tip_of(angles), elbow, targets], 1)
        return Views(other.pictures(), places)

    @cached_property
    def _eye(self) -> tuple[Any, Any]:
        import mujoco

        # ten times faster in software
        self.model.vis.quality.shadowsize = self.model.vis.quality.offsamples = 0
        camera = mujoco.MjvCamera()
        camera.lookat[:] = (0, 0, 0.01)
        camera.distance = 0.56
        camera.elevation = -90
        camera.azimuth = 90
        try:
            if not {"DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"} & set(
                os.environ
            ):  # MuJoCo would look for a window
                from mujoco.egl import GLContext
                from mujoco.rendering.classic import gl_context

                gl_context.GLContext = GLContext
            return mujoco.Renderer(self.model, 2 * self.image[0], 2 * self.image[1]), camera
        except Exception as error:  # every OpenGL binding has exceptions of its own
            raise InputError(
                f"got no OpenGL for pictures ({type(error).__name__}); expected some: {ADVICE}"
            ) from None


class ReacherFourImages(ReacherImages):
    """The comparison task with its four targets and its cost, in pictures."""

    name = "reacher_four_images"
    held_out = None  # type: ignore[assignment]

    @typed
    def __init__(self, size: Count = 64):
        super().__init__(4, size)
        four = ReacherFour()
        self.angles, self.targets, self.cost = four.angles, four.targets, four.cost

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i at rest, in condition conditions[i]."""
        still = np.zeros((len(conditions), 2))
        return self.start(self.angles[conditions], still, self.targets[conditions])


def angles_at(tips: Array, near: Array) -> Array:
    """Returns the joint angles (C, 2) at which the fingertip is at places (C, 2), of both the ones
    nearer to angles `near` (C, 2); the elbow is straight for a place that is out of reach.
    """
    a, b = LINKS
    cosine = np.clip(((tips**2).sum(1) - a**2 - b**2) / (2 * a * b), -1, 1)
    both = []
    for elbow in (np.arccos(cosine), -np.arccos(cosine)):
        turn = np.arctan2(b * np.sin(elbow), a + b * np.cos(elbow))
        shoulder = np.arctan2(tips[:, 1], tips[:, 0]) - turn
        about = near[:, 0]
        shoulder = about + (shoulder - about + np.pi) % (2 * np.pi) - np.pi
        both.append(np.stack([shoulder, elbow], 1))
    far = [np.linalg.norm(angles - near, axis=1) for angles in both]
    return np.where((far[0] <= far[1])[:, None], *both)


def halved(picture: Array) -> Array:
    """Returns a picture (h, w, c) of bytes of half that size, each pixel the rounded mean of four:
    smooth edges.
    """
    p = picture.astype(np.uint16)
    total = p[::2, ::2] + p[1::2, ::2] + p[::2, 1::2] + p[1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)
