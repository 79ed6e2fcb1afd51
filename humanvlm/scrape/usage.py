"""What may be done with what a site serves, as it states it in robots.txt and in the heads of its answers.

``Content-Usage`` is of the IETF's working group on AI preferences (draft-ietf-aipref-attach-05, -vocab-08),
``Content-Signal`` of contentsignals.org (draft-romm-aipref-contentsignals-00). Both list categories of use, each
allowed or not. Pictures are collected here to train a generative model, and are put into others that describe them:
what a statement says of either counts, and nothing else.
"""

# From the narrow category to the wide; the narrowest that is named decides. Those behind the second and the third are
# of earlier drafts.
TRAINING = ("train-genai", "train-ai", "ai-train", "genai", "ai", "tdm", "bots", "all")
INPUT = ("ai-use", "ai-input")
ALLOWED, DISALLOWED = frozenset(["y", "yes"]), frozenset(["n", "no"])
HEADERS = {"Content-Usage": "opt_out_content_usage", "Content-Signal": "opt_out_content_signal"}


def forbidden(statement: str) -> str | None:
    """The category of a statement, such as ``train-ai=n, search=y``, that forbids what is done here; None: none does.

    It is read as a dictionary of RFC 9651: the last value of a key counts, without its parameters. Values other than
    yes and no state nothing.
    """
    stated = {}
    for member in statement.lower().split(","):
        key, _, value = member.partition(";")[0].partition("=")
        stated[key.strip()] = value.strip()
    for categories in (TRAINING, INPUT):
        known = (key for key in categories if stated.get(key) in ALLOWED | DISALLOWED)
        decisive = next(known, None)
        if decisive and stated[decisive] in DISALLOWED:
            return decisive
    return None
