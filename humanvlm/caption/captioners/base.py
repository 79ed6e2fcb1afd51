"""A captioner writes texts on pictures from what is known of them; what it writes is checked, whoever it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from humanvlm.data.facts import Facts

Style = Literal["short", "detailed", "face", "body", "background", "fused"]


@dataclass(frozen=True)
class Subject:
    """A picture to caption. texts: cleaned texts of the index on it. picture: reads its file. sha256: of that file."""

    id: str
    facts: Facts
    texts: tuple[str, ...] = ()
    sha256: str = ""
    picture: Callable[[], bytes] = field(default=bytes, repr=False)


@dataclass(frozen=True)
class Draft:
    """Texts by style. reason: why one is missing, one of the reasons for which captions are replaced."""

    texts: Mapping[Style, str]
    reason: str = ""


class Captioner(Protocol):
    """Writes drafts, one for each subject, in their order."""

    @property
    def name(self) -> str:
        """As in the column ``captioner``: template, source, model, endpoint."""
        ...

    def write(self, subjects: Sequence[Subject], styles: Sequence[Style]) -> Sequence[Draft]:
        """Raises UserError when nothing can be written at all; what was paid for until then is kept."""
        ...
