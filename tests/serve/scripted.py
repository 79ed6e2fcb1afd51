"""A server whose models say what is written for them, over the real routes."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import Image

from humanvlm.serve.chat import Serving
from humanvlm.serve.conversation import Prompt, Turn
from humanvlm.serve.engine import Engine
from humanvlm.serve.keys import Keys
from humanvlm.serve.limits import Limits
from humanvlm.serve.run import listen, make_server
from humanvlm.serve.writing import End, Job, Loaded, Piece

from .running import LIMITS, NO_KEYS, Running


@dataclass
class Script:
    """says: the pieces of the answer to the words of the last turn. asked: the turns of every request, and the sizes of
    its pictures."""

    says: Callable[[str], Sequence[str]]
    asked: list[tuple[Sequence[Turn], list[tuple[int, int]]]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def read(self, turns: Sequence[Turn], pictures: Sequence[Image.Image], most_tokens: int) -> Prompt:
        self.asked.append((turns, [picture.size for picture in pictures]))
        return Prompt(turns[-1].text, 7)


class Scripted(Engine):
    """Pieces come one by one; after the first it waits for ``go`` where that is not set."""

    def __init__(self, script: Script) -> None:
        super().__init__(lambda: Loaded(None, script, 4096), 4, 4)  # type: ignore[arg-type]
        self.script = script

    def start(self) -> None:
        self.loaded = self.load()

    def close(self) -> None:
        pass

    def submit(self, job: Job) -> None:
        threading.Thread(target=self._say, args=(job,), daemon=True).start()

    def _say(self, job: Job) -> None:
        pieces = self.script.says(str(job.prompt.inputs))
        for number, piece in enumerate(pieces):
            job.tell(Piece(piece))
            while number == 0 and not self.script.go.wait(0.01) and not job.cancelled:
                time.sleep(0.01)
        job.tell(End("stop", len(pieces)))


@contextmanager
def scripted(scripts: Mapping[str, Script], limits: Limits = LIMITS, keys: Keys = NO_KEYS) -> Iterator[Running]:
    """Until the block ends. scripts: by the names of their models."""
    serving = Serving({name: Scripted(script) for name, script in scripts.items()}, limits, keys)
    server, listening = make_server(serving), listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield Running(listening.getsockname()[1], serving, server)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
