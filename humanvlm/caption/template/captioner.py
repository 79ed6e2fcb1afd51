"""The captioner that needs no model: texts from the facts alone, chosen by seed and id, within word limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from humanvlm.caption.captioners.base import Draft, Style, Subject
from humanvlm.caption.template import story
from humanvlm.caption.template.english import counted, distinct, sentence, within, word_count
from humanvlm.caption.template.sheet import Sheet
from humanvlm.caption.template.short import short
from humanvlm.data.facts import Facts

COARSE = ("short", "detailed")  # styles without sizes and shades
SMALLEST_LIMIT = 12  # words that the barest caption may need


@dataclass(frozen=True)
class TemplateCaptioner:
    """Pure: a subject's id and facts, the seed and the limits decide its texts.

    min_probability: facts below it are not written. max_words: of every style that is written, ``SMALLEST_LIMIT`` or
    more: with fewer a text may be empty.
    """

    seed: int
    min_probability: float
    max_words: Mapping[Style, int] = field(default_factory=dict)
    name: str = "template"

    def write(self, subjects: Sequence[Subject], styles: Sequence[Style]) -> list[Draft]:
        return [Draft({style: self.text(subject, style) for style in styles}) for subject in subjects]

    def text(self, subject: Subject, style: Style) -> str:
        """One text; each style has choices of its own, so that they do not repeat each other's wordings."""
        sheet = Sheet(
            subject.facts, Random(f"{self.seed}:{subject.id}:{style}"), self.min_probability, style not in COARSE
        )
        most = self.max_words[style]
        if style == "short":
            return short(sheet, most)
        told = within(distinct(_told(sheet, style)), most)
        return told or next((text for text in _barest(subject.facts, style) if word_count(text) <= most), "")


def _told(sheet: Sheet, style: Style) -> story.Ranked:
    if style == "face":
        return story.faces(sheet)
    if style == "body":
        return story.bodies(sheet)
    if style == "background":
        return story.around(sheet, set(), said=False)
    return story.story(sheet)


def _barest(facts: Facts, style: Style) -> Iterator[str]:
    """What is left to say when nothing is known, or too little room: how many faces or people there are."""
    faces = sum(person.face is not None for person in facts.people)
    if style == "face":
        yield (
            sentence(f"{counted(faces, 'face')} {'is' if faces == 1 else 'are'} in view")
            if faces
            else "No face is in view."
        )
    count = facts.people_count
    yield (
        sentence(f"{counted(count, 'person')} {'is' if count == 1 else 'are'} in the picture")
        if count
        else ("No people are in the picture.")
    )
