"""A headless Chromium, driven over its DevTools protocol through a pipe: no driver, no port, no further package."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WITHIN_S = 60.0  # a page that has not come as far by then never will


def executable() -> str | None:
    """Where a Chromium is, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of a browser. events: what it told, but for answers."""

    def __init__(self, process: "subprocess.Popen[bytes]", to: int, back: int) -> None:
        self.process, self.to, self.back = process, to, back
        self.held, self.number, self.session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command. Raises RuntimeError with what the browser says when it fails."""
        self.number += 1
        number = self.number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self.to, content) :]
        while True:
            told = self._next()
            if told.get("id") != number:
                self.events.append(told)
            elif "error" in told:
                raise RuntimeError(f"{method}: {told['error']}")
            else:
                return dict(told["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.held:
            piece = os.read(self.back, 1 << 20)
            if not piece:
                raise RuntimeError(f"the browser ended: {self.process.poll()}")
            self.held += piece
        message, _, self.held = self.held.partition(b"\0")
        return dict(json.loads(message))

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, script: str) -> Any:
        """The first value of an expression that is true."""
        end = time.monotonic() + WITHIN_S
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {script}; the page says {self.run('document.body.innerText')}")
            time.sleep(0.02)
        return value

    def open(self, url: str, width: int, height: int, *, dark: bool = False, calm: bool = False) -> None:
        """Go to a page in a window of this size; a narrow one is a phone's."""
        phone = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        features += [{"name": "prefers-reduced-motion", "value": "reduce"}] if calm else []
        self.send("Emulation.setEmulatedMedia", features=features)
        self.send("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})")

    def choose(self, selector: str, file: Path) -> None:
        """What a file chooser does."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def press(self, key: str, code: int, text: str = "", modifiers: int = 0) -> None:
        """A key down and up. code: Windows' virtual key. modifiers: 8 is Shift."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **named, text=text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **named)

    def write(self, text: str) -> None:
        """Text where the focus is."""
        self.send("Input.insertText", text=text)

    def photograph(self, file: Path, *, whole: bool = True) -> None:
        """A screenshot."""
        taken = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(taken["data"]))

    def complaints(self) -> list[str]:
        """Errors and broken rules that the page's console and policy told of; what a request was answered is none."""
        self.run("0")
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
            entry = params.get("entry", {})
            if (
                event.get("method") == "Log.entryAdded"
                and entry.get("level") == "error"
                and entry["source"] != "network"
            ):
                found.append(entry["text"])
        return found

    def asked(self) -> set[str]:
        """Addresses that the page sent anything to."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return {event["params"]["request"]["url"] for event in sent}


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile, until the block ends."""
    found = executable()
    assert found
    child_reads, to = os.pipe()
    back, child_writes = os.pipe()
    reads, writes = (fcntl.fcntl(one, fcntl.F_DUPFD, 64) for one in (child_reads, child_writes))

    def arrange() -> None:  # DevTools' pipe is at the descriptors 3 and 4
        os.dup2(reads, 3)
        os.dup2(writes, 4)

    process = subprocess.Popen(
        [
            *(found, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}"),
            *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"),
            *("--disable-background-networking", "--disable-sync", "--disable-component-update", "--mute-audio"),
            "--hide-scrollbars",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(3, 4),
        preexec_fn=arrange,
    )
    for one in (child_reads, child_writes, reads, writes):
        os.close(one)
    try:
        yield Browser(process, to, back)
    finally:
        os.close(to)  # it ends when nobody can tell it anything any more
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(back)
