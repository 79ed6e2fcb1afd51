"""A model's own words for the questions of a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.base import Sample


def reworded(samples: Sequence[Sample], templates: Mapping[str, str], task: str, kind: str) -> list[Sample]:
    """The samples of a task with the prompts of its template, or of its kind's; as they are where there is none.

    Raises UserError when a template has other fields than {prompt} and {subject}.
    """
    name = task if task in templates else kind
    if name not in templates:
        return list(samples)
    found = []
    for sample in samples:
        try:
            text = templates[name].format(prompt=sample.prompt, subject=sample.subject or sample.prompt)
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise UserError(
                f"benchmark_scores.asked: the prompt of {name} ({templates[name]!r}) has more than {{prompt}} and "
                f"{{subject}} in braces ({type(error).__name__}: {error}); write a brace as {{{{ or }}}}"
            ) from None
        found.append(replace(sample, prompt=text))
    return found
