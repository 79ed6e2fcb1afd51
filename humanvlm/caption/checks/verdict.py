"""What checking a caption says of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A statement about the picture, at [start, end) of the caption. kind: count, colour, gender, garment, object, ...

    by: what supports it (an entry of models.yaml, text, geometry); empty: nothing does. contradicted: a fact says
    otherwise, which is worse than that no fact says so.
    """

    start: int
    end: int
    kind: str
    value: str
    by: str = ""
    contradicted: bool = False


@dataclass(frozen=True)
class Cut:
    """What repairing takes out of the caption, [start, end), and the fault that it mends."""

    start: int
    end: int
    fault: str


@dataclass(frozen=True)
class Verdict:
    """claims: all that were found. faults: why the caption may not stay, such as refusal or unsupported.

    cuts: what has to go so that it may, in no order; they may overlap.
    """

    claims: tuple[Claim, ...] = ()
    faults: tuple[str, ...] = ()
    cuts: tuple[Cut, ...] = ()

    @property
    def supported(self) -> int:
        return sum(bool(claim.by) for claim in self.claims)

    @property
    def unsupported(self) -> int:
        return len(self.claims) - self.supported

    @property
    def told(self) -> frozenset[tuple[str, str]]:
        """What it says that is supported: kind and value."""
        return frozenset((claim.kind, claim.value) for claim in self.claims if claim.by)

    @property
    def faithfulness(self) -> float:
        """Share of the claims that are supported, 0..1; 1 without any."""
        return self.supported / len(self.claims) if self.claims else 1.0
