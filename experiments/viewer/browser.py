"""A policy in MuJoCo's own browser viewer, with a window of buttons: new target, noise, push.

The window lives on the viewer's thread and sends what was pressed to the simulation's thread, which
owns the simulation.
"""

import dataclasses
import time
from typing import Any

import mujoco
from mujoco.studio import app, launch_web, messages, plugin, sim, viewer_protocol
from mujoco.studio.dear_imgui import dear_imgui as imgui

from .simulation import Simulation

PAUSE = 0.5  # s at the end of an episode


@dataclasses.dataclass(frozen=True)
class Pressed(messages.Event):
    """What a person wants: a button's word, or a value of the slider of that word."""

    word: str  # target, push, noise, repeat
    value: float = 0.0


class Buttons(plugin.ViewerPlugin):
    """The window; once closed, it is in the menu View."""

    noise, repeat, open = 0.0, True, True

    @messages.handler
    def on_build_gui(self, _: messages.BuildGuiEvent) -> None:
        """Draws it, and sends what is pressed."""
        if imgui.BeginMainMenuBar():
            if imgui.BeginMenu("View"):
                self.open ^= imgui.MenuItem("Policy", "", self.open)
                imgui.EndMenu()
            imgui.EndMainMenuBar()
        if not self.open:
            return
        imgui.SetNextWindowPos(imgui.Vec2(420, 120), imgui.Cond.FirstUseEver)
        shown, self.open = imgui.Begin("Policy", self.open)
        if shown:
            if imgui.Button("New target"):
                self.viewer.send_to_sim(Pressed("target"))
            imgui.SameLine()
            if imgui.Button("Push"):
                self.viewer.send_to_sim(Pressed("push"))
            changed, self.noise = imgui.SliderFloat("noise", self.noise, 0.0, 1.0)
            if changed:
                self.viewer.send_to_sim(Pressed("noise", self.noise))
            changed, self.repeat = imgui.Checkbox("new target at each end", self.repeat)
            if changed:
                self.viewer.send_to_sim(Pressed("repeat", float(self.repeat)))
        imgui.End()


class Player(plugin.SimPlugin):
    """Steps the simulation in real time, in place of the viewer's own stepping."""

    def __init__(self, simulation: Simulation):
        self.simulation = simulation
        self.repeat = True
        self.due = time.monotonic()
        self.steps = 0
        self.paused = False

    @messages.handler
    def on_pressed(self, event: Pressed) -> None:
        """Does what was asked for."""
        if event.word == "target":
            self.simulation.next_target()
        elif event.word == "push":
            self.simulation.push()
        elif event.word == "noise":
            self.simulation.noise = event.value
        elif event.word == "repeat":
            self.repeat = bool(event.value)

    @messages.handler
    def on_control(self, event: messages.StepControlSnapshot) -> None:
        """Heeds the viewer's own button for a pause."""
        self.paused = event.pause_state != sim.PauseState.UNPAUSED

    @messages.handler
    def on_step(self, event: messages.StepEvent) -> bool:
        """Steps when a step is due, and shows what came of it."""
        wait = self.due - time.monotonic()
        if wait > 0 or self.paused:
            time.sleep(min(max(wait, 0.001), 0.01))
            return True
        self.due = max(self.due, time.monotonic() - self.simulation.dt) + self.simulation.dt
        if self.simulation.over and self.repeat:
            self.due = time.monotonic() + PAUSE
            self.simulation.next_target()
        else:
            self.simulation.step()
            self.steps += 1
        data = self.simulation.data
        if data is not event.data:
            mujoco.mj_copyData(event.data, event.model, data)
        return True


def launch(simulation: Simulation, port: int = 0) -> tuple[Any, Player]:
    """Opens the viewer, which listens on all interfaces; returns its handle, for a `with`, and what
    plays.

    `port` 0 takes the first free one from 8080 on.
    """
    player = Player(simulation)
    config = viewer_protocol.ViewerConfig(title="policy", http_port=port)
    handle = launch_web.launch(config, plugins=[app.App(), Buttons(), player])
    handle.set_model(simulation.model, data=simulation.data)
    return handle, player
