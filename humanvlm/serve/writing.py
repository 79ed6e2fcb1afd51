"""Replies under way: each is given its tokens, told as words, and let go when it ends."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from humanvlm.inference.generate import MARGIN
from humanvlm.serve.conversation import Prompt, Reader
from humanvlm.serve.decoding import Rows, alone, leads
from humanvlm.serve.refusals import Refused, broken
from humanvlm.serve.sampling import GREEDY, Sampling, choose
from humanvlm.serve.words import Words, silent_tokens

log = logging.getLogger("humanvlm")
STOP, LENGTH = "stop", "length"


@dataclass(frozen=True)
class Loaded:
    """A model that may be asked. context: tokens of prompt and reply together, at most. fingerprint: of its weights."""

    model: Any
    reader: Reader
    context: int
    fingerprint: str = ""


@dataclass(frozen=True)
class Piece:
    """Words of a reply."""

    text: str


@dataclass(frozen=True)
class End:
    """finish: ``stop`` or ``length``. tokens: how many the reply has."""

    finish: str
    tokens: int


@dataclass(frozen=True)
class Failure:
    """There is no more of this reply."""

    error: Refused


Event = Piece | End | Failure


@dataclass(eq=False)
class Job:
    """One reply to write. tell: gets its events, in the engine's thread; must not wait. cancelled: nobody reads it."""

    prompt: Prompt
    limit: int
    tell: Callable[[Event], None]
    sampling: Sampling = GREEDY
    stops: Sequence[str] = ()
    cancelled: bool = False


@dataclass
class Counts:
    """Since the start. steps: of batches; rows: tokens that these gave, all together. alone: tokens that were too close
    to call in a batch, and made again."""

    prompt_tokens: int = 0
    reply_tokens: int = 0
    steps: int = 0
    rows: int = 0
    alone: int = 0


@dataclass(eq=False)
class _Row:
    job: Job
    words: Words
    generator: torch.Generator | None
    tokens: list[int] = field(default_factory=list)


class Writing:
    """The replies that a model writes at present, at most ``slots``."""

    def __init__(self, loaded: Loaded, slots: int, counts: Counts) -> None:
        self.model, self.counts = loaded.model, counts
        self.tokenizer = loaded.reader.processor.tokenizer
        self.silent, self.ends = silent_tokens(self.tokenizer), end_tokens(loaded.model)
        self.batch = Rows(loaded.model, slots)
        self.rows: list[_Row] = []

    def join(self, job: Job) -> None:
        """Read a prompt, and say the first word of its reply. A prompt that cannot be read fails alone."""
        try:
            logits = self.batch.join(job.prompt)
        except Exception:  # such as memory that is short: others may still fit
            log.exception("a prompt could not be read")
            job.tell(Failure(broken("the prompt could not be read")))
            return
        self.counts.prompt_tokens += job.prompt.length
        self.rows.append(_Row(job, Words(self.tokenizer, self.silent, job.stops), job.sampling.generator()))
        if job.prompt.begun:
            job.tell(Piece(job.prompt.begun))
        self._advance([len(self.rows) - 1], [logits])

    def step(self) -> None:
        """A token more for each reply that somebody still waits for."""
        self._leave(number for number, row in enumerate(self.rows) if row.job.cancelled)
        if not self.rows:
            return
        logits = self.batch.step([row.tokens[-1] for row in self.rows])
        self.counts.steps += 1
        self.counts.rows += len(self.rows)
        given = list(logits)
        if self.model.dtype == torch.float32:  # others have noise far above any margin
            for number, lead in enumerate(leads(logits)):
                row = self.rows[number]
                if lead < MARGIN:
                    given[number] = alone(self.model, row.job.prompt, row.tokens)
                    self.counts.alone += 1
        self._advance(range(len(self.rows)), given)

    def fail(self, error: Refused) -> None:
        """Give up what is under way."""
        for row in self.rows:
            row.job.tell(Failure(error))
        self.rows = []

    def _advance(self, numbers: Sequence[int], logits: Sequence[torch.Tensor]) -> None:
        """Give each of these rows its next token; those that end leave."""
        left = []
        for number, one in zip(numbers, logits, strict=True):
            row = self.rows[number]
            token = choose(one, row.job.sampling, row.generator)
            ended = token in self.ends
            if not ended:
                row.tokens.append(token)
                self.counts.reply_tokens += 1
                _say(row.job, row.words.add(token))
            if ended or row.words.stopped or len(row.tokens) >= row.job.limit:
                _say(row.job, row.words.end())
                row.job.tell(End(STOP if ended or row.words.stopped else LENGTH, len(row.tokens)))
                left.append(number)
        self._leave(left)

    def _leave(self, numbers: Iterable[int]) -> None:
        """Free rows; the last one takes the number of one that leaves."""
        for number in sorted(numbers, reverse=True):
            self.batch.leave(number)
            self.rows[number] = self.rows[-1]
            self.rows.pop()


def end_tokens(model: Any) -> frozenset[int]:
    """The tokens that end a reply of a model."""
    ends = model.generation_config.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or ())


def _say(job: Job, text: str) -> None:
    if text:
        job.tell(Piece(text))
