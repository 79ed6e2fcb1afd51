"""What the checks say of an artifact's captions, and of what people wrote of the same pictures: by kind, and how fast.

Of the artifact's own captions hardly anything should be unsupported. What people wrote is mostly true and says more
than the facts do: what is unsupported there is what facts do not know, what is contradicted is an error of either.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from humanvlm.caption.captioners.base import Style
from humanvlm.caption.checks.check import Limits, check
from humanvlm.data.facts import Facts, facts_from_json
from humanvlm.data.shards import read_folder

Captions = Sequence[tuple[Style, str, Facts]]
LIMITS: dict[Style, Limits] = {"short": Limits(70), "detailed": Limits(300)}
COLUMNS = ("facts", "captions", *LIMITS)


@dataclass
class Tally:
    """Of claims by kind: all, unsupported, contradicted; and captions by fault."""

    claims: Counter[str] = field(default_factory=Counter)
    unsupported: Counter[str] = field(default_factory=Counter)
    contradicted: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    captions: int = 0
    flagged: int = 0
    words: int = 0
    seconds: float = 0.0

    @property
    def figures(self) -> dict[str, float]:
        claims = max(self.claims.total(), 1)
        return {
            "captions": self.captions,
            "words": round(self.words / max(self.captions, 1), 1),
            "claims": self.claims.total(),
            "unsupported": round(self.unsupported.total() / claims, 4),
            "contradicted": round(self.contradicted.total() / claims, 4),
            "flagged": round(self.flagged / max(self.captions, 1), 4),
            "captions_per_s": round(self.captions / self.seconds) if self.seconds else 0,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path, help="of human_caption, such as artifacts/human_caption")
    parser.add_argument("--rows", type=int, default=2000, help="the first of them")
    args = parser.parse_args()
    rows = [row for row, _ in zip(read_folder(args.artifact, COLUMNS), range(args.rows), strict=False)]
    facts = [facts_from_json(row["facts"]) for row in rows]
    written = [(style, row[style], known) for row, known in zip(rows, facts, strict=True) for style in LIMITS]
    told: Captions = [
        ("short", text, known) for row, known in zip(rows, facts, strict=True) for text in row["captions"] or ()
    ]
    tallies = {"captions": judged(written), "people's": judged(told)}
    for name, tally in tallies.items():
        show(name, tally)
    print(json.dumps({name: tally.figures for name, tally in tallies.items()}))


def judged(captions: Captions) -> Tally:
    """Check every caption, once before the clock runs so that the word lists are read."""
    tally = Tally()
    for style, text, facts in captions[:100]:
        check(text, style, facts, (), LIMITS[style])
    for style, text, facts in captions:
        clock = time.process_time()
        verdict = check(text, style, facts, (), LIMITS[style])
        tally.seconds += time.process_time() - clock
        tally.captions += 1
        tally.words += len(text.split())
        tally.flagged += bool(verdict.faults)
        tally.faults.update(verdict.faults)
        tally.claims.update(claim.kind for claim in verdict.claims)
        tally.unsupported.update(claim.kind for claim in verdict.claims if not claim.by)
        tally.contradicted.update(claim.kind for claim in verdict.claims if claim.contradicted)
    return tally


def show(name: str, tally: Tally) -> None:
    print(f"{name}: {tally.figures}\nflagged for: {dict(tally.faults.most_common())}")
    print("| kind | claims | unsupported | contradicted |\n| --- | --- | --- | --- |")
    print("\n".join(lines(tally)))


def lines(tally: Tally) -> Iterable[str]:
    for kind, count in tally.claims.most_common():
        yield f"| {kind} | {count} | {tally.unsupported[kind] / count:.1%} | {tally.contradicted[kind] / count:.1%} |"


if __name__ == "__main__":
    main()
