"""Room in memory for what clients send."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from humanvlm.serve.refusals import busy

AGAIN_S = 2


@dataclass
class Room:
    """Of one event loop. most: bytes of all requests that are being read or prepared."""

    most: int
    used: int = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """What one request takes; given back when the block ends."""
        share = Share(self)
        try:
            yield share
        finally:
            self.used -= share.taken


@dataclass
class Share:
    room: Room
    taken: int = 0

    def take(self, count: int) -> None:
        """So many bytes more. Raises Refused (503) when others have taken them."""
        if self.room.used + count > self.room.most:
            raise busy("too much is being read at once; ask again later", AGAIN_S)
        self.room.used += count
        self.taken += count
