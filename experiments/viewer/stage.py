"""How a MuJoCo model is shown: a ground, soft light with shadows, and a fading trace of its tip.

Lights, colours and the trace are put into the scene of each picture. Of the model only what is seen
is changed (quality, fog, the size of the ground), so that what a policy meets is the task as it is.
"""

from collections import deque
from typing import Any

import numpy as np

from agents.tasks.adapters.mjcf_model import MARKER
from agents.tasks.capabilities import Camera, Plane, capability

SMOOTH = 2  # times as many pixels are drawn a side as are kept
SHADOWS = 1024  # pixels a side of the shadow map
TRACE = 0.6  # s that the trace is long
GROUND, LINES = (0.86, 0.89, 0.93), (0.70, 0.75, 0.82)  # red, green, blue
SKY = (0.93, 0.95, 0.98)
CELLS = 8  # of the grid on the ground, along the distance of the camera
TRACE_COLOUR = (0.96, 0.58, 0.12)
HIDDEN = ("sideN", "sideE", "sideS", "sideW")  # Reacher's walls, beyond its reach
TRACED = ("fingertip", "tip", "grip", "hook", "point", "object", "pole")  # the first one there is
COLOURS = {  # of Gymnasium's Reacher, Pusher: geom -> red, green, blue, opacity
    "root": (0.20, 0.23, 0.28, 1.0),
    "link0": (0.16, 0.42, 0.78, 1.0),
    "link1": (0.16, 0.42, 0.78, 1.0),
    "fingertip": (0.96, 0.58, 0.12, 1.0),
    "target": (0.86, 0.16, 0.24, 1.0),
}


class Stage:
    """A renderer of one model, from one camera."""

    def __init__(self, model: Any, camera: Any, size: int, dt: float):
        """`size` is a side of a picture in pixels, `dt` the seconds between two calls of `see`."""
        import mujoco

        model.vis.quality.shadowsize, model.vis.quality.offsamples = SHADOWS, 0
        model.vis.global_.offwidth = model.vis.global_.offheight = size * SMOOTH
        model.vis.map.shadowclip = 1.6 * camera.distance / model.stat.extent  # sharp where seen
        model.vis.headlight.ambient[:] = 0.45
        model.vis.headlight.diffuse[:] = 0.10
        model.vis.headlight.specular[:] = 0.0
        model.vis.rgba.fog[:] = (*SKY, 1.0)
        model.vis.map.fogstart = 2.0 * camera.distance / model.stat.extent
        model.vis.map.fogend = 5.0 * camera.distance / model.stat.extent
        model.vis.map.zfar = max(50.0, 60 * camera.distance / model.stat.extent)
        planes = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        model.geom_size[planes, :2] = 30 * camera.distance  # a plane is endless: to be seen only
        self.model, self.camera, self.size, self._mujoco = model, camera, size, mujoco
        self._renderer = mujoco.Renderer(model, size * SMOOTH, size * SMOOTH)
        self._trace: deque[Any] = deque(maxlen=max(2, round(TRACE / dt)))
        self._tip = _tip(mujoco, model)
        self._root = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, "rootx")  # of a walker
        self._left = float(camera.lookat[0])

    def begin(self) -> None:
        """Forgets the trace: an episode begins."""
        self._trace.clear()

    def see(self, data: Any) -> None:
        """Takes the tip's place into the trace; called at every step, drawn or not."""
        if self._tip:
            kind, i = self._tip
            self._trace.append(
                getattr(data, f"{kind}_xpos" if kind != "body" else "xpos")[i].copy()
            )

    def picture(self, data: Any) -> np.ndarray:
        """Returns the scene as it is now, (size, size, 3)."""
        renderer, size = self._renderer, self.size
        if self._root >= 0:
            self.camera.lookat[0] = self._left + data.qpos[self.model.jnt_qposadr[self._root]]
        renderer.update_scene(data, self.camera)
        self._paint(renderer.scene)
        self._backdrop(renderer.scene)
        self._light(renderer.scene)
        self._draw_trace(renderer.scene)
        seen = renderer.render().reshape(size, SMOOTH, size, SMOOTH, 3)
        return seen.mean((1, 3)).astype(np.uint8)  # smooth edges, cheaper than multisampling

    def _paint(self, scene: Any) -> None:
        """Gives the ground and Gymnasium's geoms their colours, and a target a halo."""
        mujoco = self._mujoco
        for n in range(scene.ngeom):
            geom = scene.geoms[n]
            if geom.type == mujoco.mjtGeom.mjGEOM_PLANE:
                geom.rgba[:3], geom.matid, geom.reflectance = GROUND, -1, 0.0
                geom.specular = 0.0
                self._grid(scene, geom.pos[2])
            elif geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                name = self.model.geom(geom.objid).name
                geom.rgba[:] = COLOURS.get(name, geom.rgba)
                if name in HIDDEN:
                    geom.pos[2] -= 100 * self.camera.distance
                elif name == "target":
                    size = geom.size[0] * np.array([2.2, 2.2, 0.05])
                    self._add(scene, "CYLINDER", (*geom.rgba[:3], 0.25), size, geom.pos)

    def _grid(self, scene: Any, height: float) -> None:
        """Draws lines on the ground, around what is looked at."""
        cell = self.camera.distance / CELLS
        half = CELLS * 2
        x, y = np.round(self.camera.lookat[:2] / cell) * cell
        for n in range(-half, half + 1):
            for place, along in (((x + n * cell, y), 1), ((x, y + n * cell), 0)):
                size = np.full(3, 0.012 * cell)
                size[along], size[2] = half * cell, 1e-4 * cell
                self._add(scene, "BOX", (*LINES, 1.0), size, (*place, height))

    def _add(
        self, scene: Any, kind: str, colour: Any, size: Any, place: Any, turn: Any = None
    ) -> Any:
        """Puts a thing into the scene that casts no shadow; returns it, or None where none fits."""
        mujoco = self._mujoco
        if scene.ngeom >= scene.maxgeom:
            return None
        geom = scene.geoms[scene.ngeom]
        mujoco.mjv_initGeom(
            geom,
            getattr(mujoco.mjtGeom, f"mjGEOM_{kind}"),
            np.asarray(size, float),
            np.asarray(place, float),
            (np.eye(3) if turn is None else turn).ravel(),
            np.asarray(colour, np.float32),
        )
        geom.category, geom.specular = mujoco.mjtCatBit.mjCAT_DECOR, 0.0
        scene.ngeom += 1
        return geom

    def _light(self, scene: Any) -> None:
        """Puts one light with shadows beside the headlight, instead of the model's own: from above,
        behind the camera and to its left.
        """
        mujoco, camera = self._mujoco, self.camera
        scene.nlight = 1 if scene.nlight and scene.lights[0].headlight else 0
        light = scene.lights[scene.nlight]
        scene.nlight += 1
        forward, right = self._directions()
        up = np.array([0.0, 0.0, 1.0])
        place = camera.lookat + 3 * camera.distance * (1.1 * up - 0.5 * forward - 0.7 * right)
        light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        light.headlight, light.castshadow = 0, 1
        light.pos[:] = place
        light.dir[:] = (camera.lookat - place) / np.linalg.norm(camera.lookat - place)
        light.ambient[:], light.diffuse[:], light.specular[:] = 0.0, 0.55, 0.25
        light.attenuation[:] = (1, 0, 0)
        light.bulbradius = 0.02
        scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 1
        scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = 1
        scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = 0
        scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0

    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns where the camera looks and what is on its right, level, (3,) each."""
        a = np.radians(self.camera.azimuth)
        return np.array([np.cos(a), np.sin(a), 0.0]), np.array([np.sin(a), -np.cos(a), 0.0])

    def _backdrop(self, scene: Any) -> None:
        """Puts up a far wall, which the fog gives the colour of the sky."""
        forward, right = self._directions()
        far = 20 * self.camera.distance
        turn = np.stack([forward, right, np.cross(forward, right)], 1)
        place = self.camera.lookat + far * forward
        self._add(scene, "BOX", (*SKY, 1.0), np.array([0.01, 4.0, 4.0]) * far, place, turn)

    def _draw_trace(self, scene: Any) -> None:
        """Draws where the tip was, the fainter the longer ago."""
        mujoco, count = self._mujoco, len(self._trace)
        width = 0.006 * self.camera.distance
        for n, (a, b) in enumerate(zip(self._trace, list(self._trace)[1:], strict=False), 1):
            colour = (*TRACE_COLOUR, 0.75 * n / count)
            if geom := self._add(scene, "CAPSULE", colour, np.zeros(3), np.zeros(3)):
                mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, width, a, b)


def camera_of(model: Any, task: Any, data: Any) -> Any:
    """Returns the task's camera, or one that sees all that moves; a plane is seen from above."""
    import mujoco

    camera = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, camera)
    told = capability(task, Camera)
    if told is None:
        _frame(camera, model, data)
    usual = {"elevation": -60 if capability(task, Plane) else -25, "azimuth": 90}
    for key, value in {**usual, **(told.camera if told else {})}.items():
        if key == "lookat":
            camera.lookat[:] = value
        else:
            setattr(camera, key, value)
    return camera


def _frame(camera: Any, model: Any, data: Any) -> None:
    """Points the camera at all that can move."""
    moving = model.geom_bodyid > 0
    reach = model.geom_rbound[moving, None]
    low, high = (data.geom_xpos[moving] - reach).min(0), (data.geom_xpos[moving] + reach).max(0)
    camera.lookat[:], camera.distance = (low + high) / 2, 1.4 * np.linalg.norm(high - low)


def _tip(mujoco: Any, model: Any) -> tuple[str, int] | None:
    """Returns what is traced, a kind of thing in the model and its number: what is to reach a goal
    in a model of the user's own, or what is known by its name.
    """
    kinds = {"site": mujoco.mjtObj.mjOBJ_SITE, "body": mujoco.mjtObj.mjOBJ_BODY}
    bodies = (model.body(i).name for i in range(model.nbody))
    wanted = [name.removeprefix(MARKER) for name in bodies if name.startswith(MARKER)]
    for name in (*wanted, *TRACED):
        for kind, code in kinds.items():
            if (i := mujoco.mj_name2id(model, code, name)) >= 0:
                return kind, i
    return None
