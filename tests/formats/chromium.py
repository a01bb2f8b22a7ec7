# SPDX-License-Identifier: LGPL-2.1-or-later
"""A headless Chromium, driven through a pair of pipes by its DevTools protocol: JSON messages, each
ended by a NUL byte. Used by tests and by tools/picture. Needs the standard library only.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 120  # seconds until a browser that does not answer is given up

# Runs a command with two descriptors as 3 and 4, where Chromium expects the pipes.
AS_3_AND_4 = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
for to, end in enumerate(ends, 3): os.dup2(end, to)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find():
    """Returns the path of a Chromium, or None."""
    names = os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"
    return next((path for path in map(shutil.which, filter(None, names)) if path), None)


class Browser:
    """with Browser() as browser: ...; one page at a time."""

    def __init__(self, exe=None):
        self.folder = tempfile.mkdtemp(prefix="pyshim-chromium-")
        to_read, self.to = os.pipe()
        self.back, to_write = os.pipe()
        command = [exe or find(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   "--remote-debugging-pipe", "--user-data-dir=" + self.folder, "about:blank"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", AS_3_AND_4, str(to_read), str(to_write), *command],
            pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_read)
        os.close(to_write)
        self.buffer = b""
        self.last = 0
        self.events = []
        self.session = None
        try:
            self._attach()
        except Exception:
            self.__exit__()
            raise

    def _attach(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log", "Network":
            self.call(domain + ".enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.to)
        os.close(self.back)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # a session of its own: the browser's processes
        except ProcessLookupError:
            pass  # it has ended
        self.process.wait()
        for _ in range(50):  # its children may still write
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                break
            time.sleep(.1)

    def _receive(self, deadline):
        while b"\0" not in self.buffer:
            if not select.select([self.back], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("chromium: no answer in %d s" % PATIENCE)
            more = os.read(self.back, 1 << 20)
            if not more:
                raise EOFError("chromium ended, status %s" % self.process.poll())
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        """Calls a method of the protocol and returns its result. Events are kept meanwhile."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError("%s: %s" % (method, answer["error"]))
                return answer["result"]
            self.events.append(answer)

    def wait(self, event):
        """Waits for an event of the protocol, which may have come already."""
        deadline = time.monotonic() + PATIENCE
        while not any(e.get("method") == event for e in self.events):
            self.events.append(self._receive(deadline))

    def run(self, expression):
        """Returns the value of a JavaScript expression in the page; waits for a promise."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(json.dumps(done["exceptionDetails"])[:2000])
        return done["result"].get("value")

    def open(self, path, width=1280, height=900, dark=False, scale=1):
        """Opens a file and waits until it is loaded and drawn."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                  mobile=False)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.events.clear()
        self.call("Page.navigate", url="file://%s" % os.path.abspath(path))
        self.wait("Page.loadEventFired")
        self.settle()

    def settle(self):
        """Waits until what was asked for is drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def problems(self):
        """Returns what the console and the network reported: errors, and requests beside the file."""
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled",
                          "Page.javascriptDialogOpening"):
                found.append((method, json.dumps(params)[:500]))
            elif method == "Network.requestWillBeSent":
                if not params["request"]["url"].startswith(("file:", "data:")):
                    found.append((method, params["request"]["url"]))
        return found

    def key(self, key, text=""):
        """Presses a key."""
        code = {"Backspace": 8, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
                "ArrowDown": 40}.get(key, ord(key[0].upper()))
        for kind in "keyDown", "keyUp":
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=text if kind == "keyDown" else "",
                      windowsVirtualKeyCode=code)
        self.settle()

    def mouse(self, *points):
        """Presses the button at the first point, moves over the others, and releases it at the last."""
        for i, (x, y) in enumerate(points):
            kind = "mouseMoved" if i else "mousePressed"
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)
        self.settle()

    def screenshot(self, path, whole=False):
        """Writes a PNG of the window, or of the whole page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))
