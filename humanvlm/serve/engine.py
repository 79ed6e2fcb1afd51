"""One model and the thread that runs it: requests wait in line for a slot, join the batch, and leave it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from humanvlm.serve.refusals import broken, busy
from humanvlm.serve.writing import Counts, Job, Loaded, Writing

log = logging.getLogger("humanvlm")
AGAIN_S = 5  # seconds after which one who found no place may ask again


class Engine:
    """load: gives the model, in the engine's thread. slots: replies at once. most_waiting: requests in line.

    loaded: once it is; failure: why it could not be, told to ``on_failure`` too."""

    def __init__(self, load: Callable[[], Loaded], slots: int, most_waiting: int) -> None:
        self.load, self.slots, self.most_waiting = load, slots, most_waiting
        self.loaded: Loaded | None = None
        self.failure: BaseException | None = None
        self.on_failure: Callable[[], object] = lambda: None
        self.counts = Counts()
        self.running = 0
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Write no more; what is under way fails."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    @property
    def waiting(self) -> int:
        """Requests in line."""
        return len(self._waiting)

    def submit(self, job: Job) -> None:
        """Put a request in line. Raises Refused (503) when the line is full."""
        with self._changed:
            if self._closing or len(self._waiting) >= self.most_waiting:
                raise busy(f"{len(self._waiting)} requests are waiting; ask again later", AGAIN_S)
            self._waiting.append(job)
            self._changed.notify()

    def _live(self) -> None:
        start = time.monotonic()
        try:
            self.loaded = self.load()
            log.info("ready, after %.0f s", time.monotonic() - start)
        except BaseException as error:  # whoever started the engine says so
            self.failure = error
            self.on_failure()
            return
        while not self._closing:
            writing = Writing(self.loaded, self.slots, self.counts)
            try:
                self._write(writing)
            except Exception:  # such as memory that is short: its replies are lost, later ones need not be
                log.exception("a batch failed")
            writing.fail(broken("the reply could not be finished"))
            self.running = 0

    def _write(self, writing: Writing) -> None:
        """Until the end. Of many in line one joins a step, so that those who read on wait for one prompt at most."""
        while not self._closing:
            if (job := self._next(len(writing.rows))) is not None:
                writing.join(job)
            self.running = len(writing.rows)
            writing.step()
            self.running = len(writing.rows)

    def _next(self, busy_slots: int) -> Job | None:
        """The next in line where there is a slot. Waits while there is nothing to do at all."""
        with self._changed:
            while not (self._closing or busy_slots or self._waiting):
                self._changed.wait()
            while self._waiting and busy_slots < self.slots and not self._closing:
                job = self._waiting.popleft()
                if not job.cancelled:
                    return job
        return None
