"""Replies of models, and texts."""

import itertools
from contextlib import suppress

from fuzzing.target import Target


def replies() -> list[bytes]:
    said = (
        '{"caption": "A man says \\"hi\\"."}', "```json\n{'caption': 'A man.'\n```", "<think>hm</think> Yes, it is.",
        "The box is [12.5, 30, 55%, 0.9].", '{"box_2d": [1, 2, 3, 4]} <|box_start|>(1,2),(3,4)<|box_end|>',
        "<loc0012><loc0034><loc0056><loc0078>",
        "left eye at (12, 30), right_eye: [40%, 31], nose: {\"x\": 1, \"y\": 2}",
        "The answer is **B**.", "No. It's not a dog, I can't tell.",
        "Stock photo by a@b.com: IMG_1234.jpg #woman (free)",
        "A Chinese man is from France, of Arab descent. ’tis the U.S. v. O’Brien’s 1/2 e.g. x.y@z.org",
        "['a', \"b\", nan]", "array(['a' 'b'], dtype=object)", "\\boxed{\\text{A}}",
    )  # fmt: skip
    return [text.encode() for text in said]


def in_replies() -> list[tuple[bytes, bytes, bytes]]:
    units = (
        "\n", " ", "\\", "',", ' ,"', "a_", "[name", "(note", "{", "<a ", "<think ", "<|", "<", "http://a",
        "www.", "a-", "a.",
        "1 ", "1,", "1.", "[1,", "box_2d", "x1:1,", "left eye ", "0", "@a", "a@b.", "A ", "Arab-", "is as ",
        "an African ",
        "I'm not able ", "sure ", "(", "'a", '"a', "a'", "’a", ". ", "!?", "answer is *", "not sure ",
        "can't ", "```", "* ",
        "caption:", "</a>", "&lt;", "&amp;", "<!a", "<a@", "%s", "\u0301", "\u200d", "photo by ", "IMG_", "#a",
        ".jpg", "( )",
        "0,0", "\\boxed{", "</think>", "<answer>",
    )  # fmt: skip
    befores = ("", '{"caption": "', "['")
    return [(before.encode(), unit.encode(), b"!x") for before in befores for unit in units]


def reply_one(data: bytes) -> str:
    """Whatever reads a reply or a text: captions, boxes, points, choices, yes and no, answers, cells, tokens."""
    from humanvlm.caption.captioners.reading import caption_in
    from humanvlm.caption.captioners.source import clean_text, sentences
    from humanvlm.caption.checks.form import form_cuts, phrase_cuts, thought_cuts
    from humanvlm.caption.checks.people import sensitive_cuts
    from humanvlm.caption.checks.tokens import tokens
    from humanvlm.errors import UserError
    from humanvlm.evaluate.metrics.nouns import singular
    from humanvlm.evaluate.metrics.nouns import words as words_of
    from humanvlm.evaluate.metrics.ptb import tokenize
    from humanvlm.evaluate.tasks import attributes, choice, face_human, mme, pope, vqa
    from humanvlm.index.cells import address, texts_of
    from humanvlm.inference.base import Reply
    from humanvlm.inference.boxes import find_numbers, read_box
    from humanvlm.inference.chat import parse_reply
    from humanvlm.inference.failures import AttemptError
    from humanvlm.inference.points import parse_points
    from humanvlm.inference.replies import final_answer

    text = data.decode("utf-8", "replace")
    answer = final_answer(text)
    for finish in ("stop", "length"):
        caption, reason = caption_in(Reply("k", raw=text, finish=finish))
        assert not (caption and reason)
        words, spans = tokens(caption), [(0, len(caption))]
        for cut in itertools.chain(
            form_cuts(caption, words, spans, 500, ["what is in the picture, in one sentence please"]),
            phrase_cuts(caption, words, spans),
            sensitive_cuts(caption, words, spans),
            thought_cuts(caption),
        ):
            assert 0 <= cut.start <= cut.end <= len(caption)
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned, "cleaning twice gives another text"
    sentences(cleaned)
    box = read_box(find_numbers(answer.text), 640, 480, "percent")
    parse_points(answer.text)
    for choose in (choice.parse_choice, choice.parse_named_choice, face_human.read_letter):
        choose(answer.text, {"A": "a man", "B": "a dog"})
    for word in words_of(answer.text):
        singular(word, {"man", "dog"})
    for parse in (attributes.parse_answer, mme.parse_answer, pope.says_yes, pope.is_answer, pope.contradicts):
        parse(answer.text)
    vqa.normalise(answer.text)
    tokenize(text[:2_000])
    texts_of(text)
    address(text, "https://example.org/", joined=True)
    with suppress(AttemptError, UserError):
        parse_reply("k", data, 0.1, "human_caption.endpoint")
    return "box" if box.box else "caption" if cleaned else "nothing"


TARGETS = (Target("replies", replies, reply_one, in_replies),)
