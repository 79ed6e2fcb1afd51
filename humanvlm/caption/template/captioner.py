"""The captioner that needs no model: sentences from the facts alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from humanvlm.caption.captioners.base import Draft, Style, Subject
from humanvlm.caption.template.english import counted, sentence, within
from humanvlm.caption.template.grammar import (
    Writer,
    appearance,
    background_sentences,
    body_sentence,
    detailed_caption,
    face_sentence,
    left_to_right,
    named,
    opening,
    short_caption,
)


@dataclass(frozen=True)
class TemplateCaptioner:
    """Pure: the same seed, id and facts give the same texts. max_words: of every style that is written."""

    seed: int
    min_probability: float
    max_words: Mapping[Style, int] = field(default_factory=dict)
    name: str = "template"

    def write(self, subjects: Sequence[Subject], styles: Sequence[Style]) -> Sequence[Draft]:
        """Texts of all styles for every subject."""
        return [Draft({style: self._text(subject, style) for style in styles}) for subject in subjects]

    def _text(self, subject: Subject, style: Style) -> str:
        writer = Writer(subject.facts, Random(f"{self.seed}:{subject.id}"), self.min_probability)
        most = self.max_words[style]
        match style:
            case "short":
                return short_caption(writer, most)
            case "detailed":
                return detailed_caption(writer, most)
            case "face":
                looks = [
                    text
                    for _, one in left_to_right(writer.facts)
                    for text in (appearance(writer, one), face_sentence(writer, one))
                    if text
                ]
                return within(list(enumerate(looks or [_faces_in_view(writer)])), most)
            case "body":
                bodies = [body_sentence(writer, one, named(writer, one)) for _, one in left_to_right(writer.facts)]
                return within(list(enumerate(bodies)), most)
            case "background":
                return within(list(enumerate(background_sentences(writer))), most)
            case "fused":
                people = [
                    (1 + rank, text)
                    for rank, one in left_to_right(writer.facts)
                    for text in (appearance(writer, one), face_sentence(writer, one), body_sentence(writer, one))
                ]
                around = [(2, text) for text in background_sentences(writer)]
                return within([(0, opening(writer)), *people, *around], most)


def _faces_in_view(writer: Writer) -> str:
    count = sum(person.face is not None for person in writer.facts.people)
    return sentence(f"{counted(max(count, 1), 'face')} {'are' if count > 1 else 'is'} in view")
