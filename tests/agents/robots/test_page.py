"""The code of docs/robot.md runs from top to bottom, against a device."""

import re
from pathlib import Path

import pytest
from carts import Device

PAGE = Path(__file__).resolve().parents[3] / "docs" / "robot.md"


@pytest.mark.filterwarnings("ignore:.* actions were late")  # the machine may be busy
@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_code_of_the_page_runs(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    device = Device(noise=1e-3, quantum=1e-3)
    names = {"port": device.path, "folder": tmp_path}
    exec(compile("\n".join(blocks), PAGE.name, "exec"), names)
    names["driver"].read()
    assert device.said.count("!") >= sum(line.startswith("p") for line in device.said)
    assert not list(tmp_path.iterdir())
    device.close()


def test_the_page_names_settings_and_columns_that_there_are():
    from agents.tasks.adapters.robot import RobotTask
    from gps.lqr_flm import Config

    text = PAGE.read_text()
    columns = ("missed_deadlines", "lateness_total", "lateness_worst")
    parameters = RobotTask.__init__.__annotations__
    for name in ("rate_limit", "rest", "x_low", "lead", "patience", "attempts", "journal"):
        assert f"`{name}" in text or f"{name}=" in text
        assert name in parameters
    for name in ("initial_std", "min_std", "smoothing", "kl_step", "max_kl_step", "samples"):
        assert f"`{name}" in text
        assert name in Config.__dataclass_fields__
    assert all(f"`{name}`" in text for name in columns)
