"""A headless Chromium without a network, driven over the pipe of its debugging protocol."""

import json
import os
import shutil
import subprocess
import sys
from collections import deque

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
UNREACHABLE = "127.0.0.1:9"  # a proxy that is not there: every request to a host fails
# Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
START = """import os, sys
for given, free in zip(map(int, sys.argv[1:3]), (100, 101)):
    os.dup2(given, free, inheritable=False)  # the wanted ones may be taken by one another
os.dup2(100, 3)
os.dup2(101, 4)
os.execvp(sys.argv[3], sys.argv[3:])"""
WAIT = """new Promise((done, fail) => {{
  const until = performance.now() + 30000;
  const look = () => {{
    if ({condition}) done(true);
    else if (performance.now() > until) fail(new Error("timed out: " + {text}));
    else requestAnimationFrame(look);
  }};
  look();
}})"""


class Browser:
    """One page of a Chromium.

    Args:
        program: its executable.
        folder: for its profile.
    """

    def __init__(self, program, folder):
        read, self._commands = os.pipe()
        self._answers, write = os.pipe()
        arguments = [
            "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            "--no-first-run", "--disable-extensions", "--disable-background-networking",
            f"--proxy-server={UNREACHABLE}", f"--user-data-dir={folder}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-IS", "-c", START, str(read), str(write), program, *arguments],
            pass_fds=(read, write),
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._buffer, self._number, self._session = b"", 0, None
        self.events = deque()
        (page,) = self.do("Target.getTargets", filter=[{"type": "page"}])["targetInfos"]
        attached = self.do("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method, **params):
        """Send a command, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self):
        while b"\0" not in self._buffer:
            part = os.read(self._answers, 1 << 16)
            assert part, "Chromium ended"
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def evaluate(self, code):
        """Return the value of a JavaScript expression, of a promise when it is fulfilled."""
        done = self.do("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, condition):
        """Wait until a JavaScript condition is true."""
        self.evaluate(WAIT.format(condition=condition, text=json.dumps(condition)))

    def open(self, path):
        """Open a file, and wait until it is loaded."""
        self.do("Page.navigate", url=path.as_uri())
        self.wait(f"location.href === {path.as_uri()!r} && document.readyState === 'complete'")

    def center(self, selector):
        """Scroll an element into sight, and return the middle of it."""
        return self.evaluate(
            f"(() => {{ const e = document.querySelector({selector!r});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )

    def drag(self, selector, right, down):
        """Press the mouse on the middle of an element, move it, and release it."""
        x, y = self.center(selector)
        self._mouse("mousePressed", x, y)
        if right or down:
            self._mouse("mouseMoved", x + right, y + down)
        self._mouse("mouseReleased", x + right, y + down)

    def click(self, selector):
        """Click the middle of an element."""
        self.drag(selector, 0, 0)

    def _mouse(self, kind, x, y):
        self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=key)

    def close(self):
        """End the browser."""
        self._session = None
        self.do("Browser.close")
        self._process.wait(timeout=30)
        os.close(self._commands)
        os.close(self._answers)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program or os.name == "nt":
        pytest.skip("no Chromium that takes its commands from a pipe")
    opened = Browser(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
