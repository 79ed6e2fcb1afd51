"""What asking a model every benchmark would take: requests, tokens, hours, cost; writing nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from math import ceil
from pathlib import Path
from statistics import fmean

from humanvlm.config.benchmark_scores import BenchmarkScores
from humanvlm.data.image import opened
from humanvlm.errors import UserError
from humanvlm.evaluate.predict import MEAN_SIDE, make_requests
from humanvlm.evaluate.stage import choose_samples, open_tested
from humanvlm.inference.base import Request
from humanvlm.inference.cache import known_replies
from humanvlm.inference.estimate import estimate
from humanvlm.inference.tokens import picture_tokens, scaled, text_tokens

LOOKED_AT = 48  # pictures by whose sizes the others are judged


def plan(section: str, config: BenchmarkScores, inputs: Mapping[str, Path], rows: int = 0) -> str:
    """A line a figure. rows: so many samples like these instead; 0: as many as there are.

    What a server has answered before is not asked for, as in a run, but for questions about the mean picture, of which
    that is not looked up. Raises UserError as the stage does, and when no sample has a picture.
    """
    server = config.model == "endpoint"
    identity = open_tested(config, inputs).identity if server else {}
    known = known_replies(identity) if server else {}
    chosen = choose_samples(config, inputs)
    samples = [sample for found in chosen.tasks.values() for sample in found]
    most, size = config.asking.max_new_tokens, config.endpoint.image_size
    requests, dropped = make_requests(samples, identity, most)
    if not requests:
        raise UserError(f"{section}: none of {len(samples):,} samples has a picture, so there is nothing to plan by")
    distinct = {request.key: request for request in requests.values()}
    wanted = [request for key, request in distinct.items() if key not in known]
    blind = {sample.prompt for sample in samples if sample.key in requests} if config.baselines else set()
    picture = _picture_tokens(list(distinct.values()), size)
    asked = [text_tokens(request.prompt) + picture for request in wanted]
    asked += [text_tokens(prompt) + picture_tokens(*scaled(MEAN_SIDE, MEAN_SIDE, size)) for prompt in blind]
    made = [reply.tokens for key in distinct if (reply := known.get(key)) and reply.tokens is not None]
    reasons = Counter(reason for _, reason, _ in (*chosen.dropped, *dropped))
    count = round(len(asked) * (rows / len(samples) if rows else 1))
    how = ("a quarter of the characters, pictures by their size", "as long as known ones" if made else "the longest")
    lines = [
        f"{section}: {rows or len(samples):,} samples, by {len(samples):,} of {len(chosen.tasks)} tasks; "
        f"model {config.model_name}",
        *(
            f"{task}: {len(found):,} samples, {len({sample.image for sample in found}):,} pictures"
            for task, found in chosen.tasks.items()
        ),
        *(f"dropped: {reason} {number:,}" for reason, number in sorted(reasons.items())),
        f"known: {len(distinct) - len(wanted):,} of {len(distinct):,} replies",
        f"requests: {count:,}, a share of {len(blind) / max(len(asked), 1):.0%} about the mean picture",
    ]
    in_each, out_each = (fmean(tokens) if tokens else 0.0 for tokens in (asked, made or [most]))
    return "\n".join([*lines, *estimate(count, in_each, out_each, most, config.endpoint, how, charged=server)])


def _picture_tokens(requests: Sequence[Request], size: int) -> float:
    """Tokens of a picture that is sent with at most ``size`` a side, on average."""
    spread = islice(requests, 0, None, ceil(len(requests) / LOOKED_AT))
    sides = [opened(request.encoded()).size for request in spread]
    return fmean(picture_tokens(*scaled(width, height, size)) for width, height in sides)
