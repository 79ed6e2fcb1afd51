"""What is kept in memory of what was asked for before, bounded by the bytes that all of it takes."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by key; when they take more than ``most`` bytes, those not asked for longest are forgotten."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """size: bytes that the value takes. The last one is kept whatever it takes."""
        self.discard(key)
        self._values[key] = value, size
        self.bytes += size
        while self.bytes > self.most and len(self._values) > 1:
            _, (_, gone) = self._values.popitem(last=False)
            self.bytes -= gone

    def discard(self, key: Key) -> None:
        _, size = self._values.pop(key, (None, 0))
        self.bytes -= size
