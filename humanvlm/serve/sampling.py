"""The next token out of logits: the likeliest, or one drawn."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sampling:
    """temperature 0: the likeliest token. top_p: the share of probability that is drawn from. seed: None for any."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def generator(self) -> torch.Generator | None:
        """Of one reply; None where nothing is drawn."""
        if not self.temperature:
            return None
        generator = torch.Generator()
        if self.seed is None:
            generator.seed()
        else:
            generator.manual_seed(self.seed)
        return generator


GREEDY = Sampling()


def choose(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator | None) -> int:
    """A token by the logits (vocabulary) of it."""
    if generator is None:
        return int(logits.argmax())
    shares = torch.softmax(logits.float().cpu() / sampling.temperature, dim=-1)
    ordered, tokens = shares.sort(descending=True, stable=True)
    kept = ordered.where(ordered.cumsum(0) - ordered < sampling.top_p, 0.0)
    return int(tokens[torch.multinomial(kept, 1, generator=generator)])
