"""Headless Chromium, driven through its DevTools protocol: what a page logs, what sticks out of it,
how it looks.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from websockets.sync.client import connect

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
OUTSIDE = """[...document.querySelectorAll('body *')].filter(e => {
  if (e.closest('.wide, details:not([open])')) return false;
  const r = e.getBoundingClientRect();
  return r.width > 0 && (r.left < -1 || r.right > document.documentElement.clientWidth + 1) })
  .map(e => e.outerHTML.slice(0, 80))"""
BROKEN = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"


class Chromium:
    """One page in one browser, closed at the end of a `with`."""

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             "--no-first-run", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader",
             f"--user-data-dir={self.home.name}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        port = Path(self.home.name) / "DevToolsActivePort"
        end = time.monotonic() + 600
        while not (port.exists() and port.read_text()):
            assert time.monotonic() < end, "Chromium does not start"
            time.sleep(0.1)
        with urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json") as answer:
            pages = json.load(answer)
        address = next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
        self.open_socket = connect(address, max_size=None)
        self.socket = self.open_socket.__enter__()
        self.number, self.events = 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.open_socket.__exit__(None, None, None)
        self.process.terminate()
        self.process.wait(600)
        self.home.cleanup()

    def call(self, method, **parameters):
        """Returns the answer to a command; what happens meanwhile is kept in `events`."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(600))
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def open(self, url, width, height=900, dark=False):
        """Opens a page in a window of that size and waits until it is loaded."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Page.navigate", url=str(url))
        end = time.monotonic() + 600
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            assert time.monotonic() < end, f"{url} is not loaded"
            self.value("1")

    def value(self, script):
        """Returns what a line of JavaScript gives."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get(
            "value"
        )

    def complaints(self):
        """Returns what the console holds of warnings and errors."""
        kinds = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}
        found = [e["params"] for e in self.events if e.get("method") in kinds]
        levels = [p.get("type") or p.get("entry", {}).get("level") or "error" for p in found]
        return [
            p
            for p, level in zip(found, levels, strict=True)
            if level in ("error", "warning", "assert")
        ]

    def requests(self):
        """Returns the addresses that were asked for, data: left out."""
        urls = [
            e["params"]["request"]["url"]
            for e in self.events
            if e.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")]

    def picture(self, path):
        """Writes the whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def print(self, path):
        """Writes the page as it is printed, a PDF."""
        Path(path).write_bytes(
            base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])
        )
