"""From drafts to captions that may stay: checked, repaired once, else written by the template, and the reason kept."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
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
MISSING, LOSES = "missing", "loses"
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
        standard = _Standard(subject, template, style, limit)
        text = draft.texts.get(style, "")
        verdict, faults = standard.judge(text, believed) if text else (Verdict(), (draft.reason or MISSING,))
        if text and faults:
            mended = repair(text, verdict)
            judged, left = standard.judge(mended, believed)
            if mended and not left:
                text, verdict = mended, judged
                repaired[style], faults = ", ".join(faults), ()
        if faults and standard.text != text:
            replaced[style] = ", ".join(faults)
            text, verdict = standard.text, standard.verdict
        texts[style], verdicts[style] = text, verdict
    writer = template.name if len(replaced) == len(limits) else captioner
    return Accepted(writer, texts, verdicts, repaired, replaced)


@dataclass(frozen=True)
class _Standard:
    """What a caption of a style is held against, and gives way to: the template's."""

    subject: Subject
    template: Captioner
    style: Style
    limit: Limits

    @cached_property
    def text(self) -> str:
        return self.template.write([self.subject], [self.style])[0].texts[self.style]

    @cached_property
    def verdict(self) -> Verdict:
        limit = replace(self.limit, min_coverage=0.0)
        return check(self.text, self.style, self.subject.facts, self.subject.texts, limit)

    def judge(self, text: str, believed: Collection[str]) -> tuple[Verdict, tuple[str, ...]]:
        """What checking says of a text, and its faults but for those that are believed; ``loses`` where it has no other
        and tells much less than the template does."""
        verdict = check(text, self.style, self.subject.facts, self.subject.texts, self.limit)
        faults = tuple(fault for fault in verdict.faults if fault not in believed)
        least = self.limit.min_coverage
        if not faults and least and len(verdict.told) < least * len(self.verdict.told):
            return verdict, (LOSES,)
        return verdict, faults


def _reasons(changed: Mapping[Style, str], names: Mapping[str, Style]) -> str:
    return "; ".join(f"{name}: {changed[style]}" for name, style in names.items() if style in changed)
