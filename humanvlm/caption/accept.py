"""From drafts to captions that may stay: checked, repaired once, else written by the template, and the reason kept."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from humanvlm.caption.captioners.base import Captioner, Draft, Style, Subject
from humanvlm.caption.checks.check import Limits, check, repair
from humanvlm.caption.checks.verdict import Verdict

CHECKED = [
    *((name, pa.string()) for name in ("captioner", "repaired", "replaced")),
    ("faithfulness", pa.float32()),
    *((name, pa.int32()) for name in ("claims_supported", "claims_unsupported")),
    ("claims", pa.string()),
]
MISSING = "missing"
# People who saw the picture know more of it than detectors do: their texts are not measured against facts. They may
# speak of themselves.
BELIEVED = {"source": ("contradiction", "unsupported", "remark")}


@dataclass(frozen=True)
class Accepted:
    """Captions by style, what checking says of each, and why those that were changed were: style -> reason.

    captioner: who wrote them; ``template`` only when it had to write them all.
    """

    captioner: str
    texts: Mapping[Style, str]
    verdicts: Mapping[Style, Verdict]
    repaired: Mapping[Style, str] = field(default_factory=dict)
    replaced: Mapping[Style, str] = field(default_factory=dict)

    def columns(self, names: Mapping[str, Style]) -> dict[str, Any]:
        """The columns ``CHECKED``. names: those of the captions' columns with their styles.

        faithfulness: share of the claims of all of them that are supported, 0..1. claims: JSON, column -> its claims,
        each with its place in the text. repaired, replaced: ``COLUMN: REASON; ...``, empty for most rows.
        """
        found = [claim for style in names.values() for claim in self.verdicts[style].claims]
        every = Verdict(tuple(found))
        claims = {name: [asdict(claim) for claim in self.verdicts[style].claims] for name, style in names.items()}
        return {
            "captioner": self.captioner,
            "repaired": _reasons(self.repaired, names),
            "replaced": _reasons(self.replaced, names),
            "faithfulness": every.faithfulness,
            "claims_supported": every.supported,
            "claims_unsupported": every.unsupported,
            "claims": json.dumps(claims, ensure_ascii=False, separators=(",", ":")),
        }


def accept(
    subject: Subject, draft: Draft, captioner: str, template: Captioner, limits: Mapping[Style, Limits]
) -> Accepted:
    """The draft's captions of all styles in ``limits`` as far as they pass; repaired where that makes them pass; else
    the template's, which stay as they are."""
    believed = BELIEVED.get(captioner, ())
    texts, verdicts = dict[Style, str](), dict[Style, Verdict]()
    repaired, replaced = dict[Style, str](), dict[Style, str]()
    for style, limit in limits.items():
        text = draft.texts.get(style, "")
        verdict = check(text, style, subject.facts, subject.texts, limit)
        faults = _faults(verdict, believed) if text else (draft.reason or MISSING,)
        if text and faults:
            mended = repair(text, verdict)
            judged = check(mended, style, subject.facts, subject.texts, limit)
            if mended and not _faults(judged, believed):
                text, verdict = mended, judged
                repaired[style], faults = ", ".join(faults), ()
        if faults:
            written = template.write([subject], [style])[0].texts[style]
            if written != text:
                replaced[style] = ", ".join(faults)
                text, verdict = written, check(written, style, subject.facts, subject.texts, limit)
        texts[style], verdicts[style] = text, verdict
    writer = template.name if len(replaced) == len(limits) else captioner
    return Accepted(writer, texts, verdicts, repaired, replaced)


def _faults(verdict: Verdict, believed: Collection[str]) -> tuple[str, ...]:
    return tuple(fault for fault in verdict.faults if fault not in believed)


def _reasons(changed: Mapping[Style, str], names: Mapping[str, Style]) -> str:
    return "; ".join(f"{name}: {changed[style]}" for name, style in names.items() if style in changed)
