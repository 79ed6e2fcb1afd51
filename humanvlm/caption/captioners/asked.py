"""Captions by a model that is asked: a checkpoint of ours, any of Hugging Face, a server; all by the same prompts."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from humanvlm.caption.captioners.base import Draft, Style, Subject
from humanvlm.caption.captioners.private import redact
from humanvlm.caption.captioners.prompts import ask_for
from humanvlm.caption.captioners.reading import SCHEMA, caption_in
from humanvlm.caption.captioners.sheet import fact_sheet, quote
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.config.captioning import Captioning
from humanvlm.inference.ask import ask_all, make_request
from humanvlm.inference.base import Model, Request
from humanvlm.inference.cache import Predictions, digest

PARTS: tuple[Style, ...] = ("face", "body", "background")  # of which a fused text is made
Place = tuple[int, Style]  # of a text: the subject's number, and the style


@dataclass(frozen=True)
class AskedCaptioner:
    """Every text is one request, and a fused one is made of the others'. section: whose parameters ``config`` is.

    template: its texts are what is rewritten, and its limits of words are those that are asked for.
    """

    name: Literal["model", "endpoint"]
    model: Model
    store: Predictions
    config: Captioning
    section: str
    template: TemplateCaptioner

    def write(self, subjects: Sequence[Subject], styles: Sequence[Style]) -> Sequence[Draft]:
        """Texts of all styles for every subject but those that the model did not write, with a reason.

        Raises UserError when the server refuses all, too many requests fail, or the budget is spent; replies are kept.
        """
        parts = PARTS if "fused" in styles else ()
        first = dict.fromkeys([*(style for style in styles if style != "fused"), *parts])
        texts, reasons = self._ask(self.first_requests(subjects, tuple(first)))
        if "fused" in styles:
            fused, why = self._ask(self._fuse(subjects, texts))
            texts |= fused
            reasons |= why
        return [
            Draft(
                {style: texts[number, style] for style in styles if (number, style) in texts},
                next((reasons[number, style] for style in styles if (number, style) in reasons), ""),
            )
            for number in range(len(subjects))
        ]

    def first_requests(self, subjects: Sequence[Subject], styles: Sequence[Style]) -> dict[Place, Request]:
        """What is asked of every subject before anything is known."""
        requests: dict[Place, Request] = {}
        for number, subject in enumerate(subjects):
            drafts = self._drafts(subject, styles) if self.config.rewrite else {}
            for style in styles:
                requests[number, style] = self._request(subject, style, drafts.get(style, ""))
        return requests

    def _fuse(self, subjects: Sequence[Subject], texts: Mapping[Place, str]) -> dict[Place, Request]:
        requests: dict[Place, Request] = {}
        for number, subject in enumerate(subjects):
            known = [texts[number, style] for style in PARTS if (number, style) in texts]
            if known:
                requests[number, "fused"] = self._request(subject, "fused", "\n\n".join(known))
        return requests

    def _request(self, subject: Subject, style: Style, draft: str) -> Request:
        sheet = fact_sheet(subject.facts, self.template.min_probability, subject.texts)
        rewrite = self.config.rewrite
        prompt = ask_for(style, sheet, self.most_words(style), draft=draft, rewrite=rewrite)
        shown = not rewrite and style != "fused"
        sha256 = (subject.sha256 or hashlib.sha256(subject.picture()).hexdigest()) if shown else ""
        picture = subject.picture if shown else None
        schema = SCHEMA if self.name == "endpoint" else None
        identity, limit = digest(self.model.identity), self.config.max_new_tokens
        return make_request(identity, sha256, picture, prompt, limit, schema, about=subject.sha256)

    def most_words(self, style: Style) -> int:
        """Of a text; those of a part leave room for the others in the fused one."""
        most = self.template.max_words[style]
        return max(1, most // len(PARTS)) if style in PARTS else most

    def _drafts(self, subject: Subject, styles: Sequence[Style]) -> Mapping[Style, str]:
        """The template's texts, without words of the picture that might steer who reads them."""
        facts = subject.facts
        harmless = replace(facts, text=tuple(guess for guess in facts.text if quote(guess.value) == guess.value))
        return self.template.write([replace(subject, facts=harmless)], styles)[0].texts

    def _ask(self, requests: Mapping[Place, Request]) -> tuple[dict[Place, str], dict[Place, str]]:
        """Texts, and why others are none, by their place."""
        asked = ask_all(_distinct(requests.values()), self.model, self.store, self.section, self.config.max_failed)
        texts, reasons = {}, {}
        for place, request in requests.items():
            if failed := asked.failed.get(request.key):
                reasons[place] = failed.error
                continue
            text, reason = caption_in(asked.replies[request.key])
            if reason:
                reasons[place] = reason
            else:
                texts[place] = redact(text)[0] if self.config.redact else text  # models know faces and names
        return texts, reasons


def _distinct(requests: Iterable[Request]) -> list[Request]:
    return list({request.key: request for request in requests}.values())
