"""Feed damaged and hostile inputs to what reads the open web, in a process of its own.

Targets: decoder, strip, consent, index, score, replies. Seeds are small sound inputs made here, and the files of
``--corpus``. Each is mutated: bytes flipped, cut, doubled, repeated often, spliced with another seed. What must come
out is a result or the one error that the reader names, within ``SLOW_S`` and ``MEMORY``; anything else, a dead process
included, is a crash, whose input is left in ``--out``. The same seed and ``--runs`` give the same inputs.
``--repeats BYTES`` gives inputs of one thing again and again, for which quadratic time would be hours. With
``--guided`` atheris (the extra ``fuzz``) chooses the mutations by what they reach. Prints a table, and one JSON object
in the last line; exit code 1 when there was a crash.
"""

import argparse
import gzip
import io
import itertools
import json
import random
import resource
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SLOW_S = 20.0
MEMORY = 4 << 30  # bytes of address space
MOST_BYTES = 1 << 18  # of an input
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "JPEG2000")
RESIZE_MODES = ("no", "no", "no", "keep_ratio", "keep_ratio_largest", "center_crop", "border", "max_pixels")
AGENT = "humanvlm"


@dataclass(frozen=True)
class Target:
    """seeds: sound inputs. run: reads one, and returns what became of it; what it raises is a crash. repeats: what
    comes before, again and again, and after, in inputs that a pattern or a loop may look at over and over."""

    name: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], str]
    repeats: Callable[[], list[tuple[bytes, bytes, bytes]]]


def pictures() -> list[bytes]:
    """One a format and colour mode."""
    pixels = np.random.default_rng(7).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    made = []
    for kind in FORMATS:
        for mode in ("RGB", "L", "RGBA", "P", "CMYK", "1"):
            for options in ({}, {"exif": exif.tobytes()}, {"progressive": True}, {"save_all": True}):
                sink = io.BytesIO()
                try:
                    Image.fromarray(pixels).convert(mode).save(sink, kind, **options)
                except (OSError, ValueError, KeyError):
                    continue  # the format does not have this mode
                made.append(sink.getvalue())
    return made


def in_pictures() -> list[tuple[bytes, bytes, bytes]]:
    """Segments, chunks, blocks and fill bytes, where the format allows them."""
    jpeg, png, webp, gif = (_picture(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF"))
    scan = jpeg.index(b"\xff\xda")
    once = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\0"  # one component of a sequential picture, and no data
    text = struct.pack(">I", 3) + b"tEXta\0b" + struct.pack(">I", zlib.crc32(b"tEXta\0b"))
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    block = gif.index(b"\x2c", 13 + 3 * 256)
    segments = (b"\xff", b"\xff\xd0", b"\xff\xff\0", b"\xff\xfe\0\2", b"\xff\xe1\0\x09Exif\0\0x", b"\xff\xe2\0\x03x")
    return [
        *((jpeg[:2], one, jpeg[2:]) for one in segments),
        *((jpeg[:-2], one, jpeg[-2:]) for one in (*segments, jpeg[scan:-2])),
        (jpeg[:scan], once, jpeg[-2:]),
        (png[:33], text, png[33:]),
        (png[:33], empty, png[33:]),
        (webp, b"EXIF\2\0\0\0xx", b""),
        (gif[:block], b"\x21\xfe\1a\0", gif[block:]),
        (gif[:block] + b"\x21\xfe", b"\1a", b"\0" + gif[block:]),
    ]


def _picture(kind: str) -> bytes:
    sink = io.BytesIO()
    Image.effect_noise((48, 32), 80).convert("RGB").save(sink, kind)
    return sink.getvalue()


def decode_one(data: bytes) -> str:
    """Verify, strip and resize under settings that follow from the bytes; a kept picture is what it claims to be."""
    from humanvlm.config.raw_scrape import RawScrape
    from humanvlm.data.image import DecodeError, decode
    from humanvlm.scrape.picture import prepare
    from humanvlm.scrape.reasons import RefusedError

    chance = random.Random(zlib.crc32(data))
    config = RawScrape(
        resize_mode=chance.choice(RESIZE_MODES),
        image_size=chance.choice((1, 32, 384)),
        verify=chance.choice(("decode", "decode", "strict", "header")),
        exif=chance.choice(("keep", "strip")),
        encode_format=chance.choice(("jpeg", "webp")),
        only_if_bigger=chance.random() < 0.5,
        max_pixels=4_000_000,
    )
    try:
        picture = prepare(data, config)
    except RefusedError as refusal:
        return refusal.reason
    try:
        size = decode(picture.data).size
    except DecodeError as error:
        if config.verify == "header":
            return "header only"
        raise AssertionError("kept, and does not decode") from error
    assert size == (picture.width, picture.height) or config.verify == "header", "another size than it claims"
    return "kept"


def strip_one(data: bytes) -> str:
    """What is left of a picture without metadata shows the same pixels."""
    from humanvlm.data.image import DecodeError, kind_of, opened, pixels
    from humanvlm.scrape.exif import strip

    try:
        kind = kind_of(data).name
    except DecodeError as error:
        return error.reason
    stripped = strip(data, kind)
    if stripped is None:
        return "to be re-encoded"
    assert len(stripped) <= len(data)
    try:
        shown = pixels(data) if max(opened(data).size) < 2_000 else None
    except DecodeError as error:
        return error.reason
    if shown is None or stripped == data:
        return "unchanged" if stripped == data else "large"
    try:
        again = pixels(stripped)
    except DecodeError:
        return "refused afterwards"  # ``prepare`` re-encodes it
    upright = shown.shape == again.shape and bool((shown == again).all())
    return "same pixels" if upright else "turned"


def consent_files() -> list[bytes]:
    tdm = [{"location": "/a/*/b$", "tdm-reservation": 1, "tdm-policy": "https://example.org"}]
    return [
        b"User-agent: *\nDisallow: /a\nAllow: /a/b*.jpg$\nCrawl-delay: 2\nSitemap: https://example.org/s.xml\n",
        b"\xef\xbb\xbfUser-Agent: humanvlm\r\nUser-Agent: other\r\nDisallow: *\r\nContent-Usage: train-ai=n\r\n",
        b"User-Agent: *\nDisallow: *.png\nDisallow: /\xc3\xa4%2f%zz\nAllow: /\n",
        json.dumps(tdm * 3).encode(),
        b"noai, noimageai, otherbot: noindex, max-snippet: 20",
    ]


def in_consent_files() -> list[tuple[bytes, bytes, bytes]]:
    units = (
        b"Disallow: /a*b\n",
        b"Allow: /\n",
        b"User-agent: a\n",
        b"*",
        b"a*",
        b"/*/",
        b"a:",
        b",",
        b"%2f",
        b"\n",
        b"[",
    )
    befores = (b"", b"User-agent: *\nDisallow: /")
    return [
        *((before, unit, b"\n") for before in befores for unit in units),
        (b"[", b'{"location":"/*a","tdm-reservation":1},', b"{}]"),
        (b'[{"tdm-reservation": 1, "location": "', b"/*a", b'"}]'),
    ]


def consent_one(data: bytes) -> str:
    """robots.txt, ai.txt and tdmrep.json, and a long address matched against them; directives of a head."""
    from humanvlm.scrape.consent import directives, parse_tdmrep, tdm_reserved
    from humanvlm.scrape.robots import parse_rules

    body = data[: 500 << 10]
    paths = (b"/", b"/a/b/c.jpg?x=1", b"/a" * 4_000, data[:8_000].translate(None, b"\r\n\x00"))
    rules, tdm = parse_rules(body, AGENT), list(parse_tdmrep(body))
    decided = [rules.deciding(path) for path in paths]
    reserved = [tdm_reserved(tdm, path) for path in paths]
    said = list(directives([data[: 64 << 10].decode("latin-1")], AGENT))
    return f"{'rules' if any(decided) else 'no rule'}{', reserved' if any(reserved) else ''}{', said' if said else ''}"


def lists() -> list[bytes]:
    """Lists of addresses in every form that ``humanvlm index`` and ``humanvlm score`` read; the first byte tells it."""
    rows = [
        {"url": f"https://example.org/{n}.jpg", "caption": [f'a "man", {n}', "b"], "sha256": None} for n in range(3)
    ]
    table = pa.table({"url": [row["url"] for row in rows], "caption": [row["caption"] for row in rows]})
    parquet, tar = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with tarfile.open(fileobj=tar, mode="w") as members:
        for name, body in (("1.jpg", pictures()[0]), ("1.txt", b"a man"), ("1.json", b'{"caption": "a"}')):
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            members.addfile(entry, io.BytesIO(body))
    made = {
        ".csv": b'url,caption\nhttps://example.org/1.jpg,"a ""man"", b"\nhttps://example.org/2.jpg,"[\'a\', \'b\']"\n',
        ".tsv": b"url\tcaption\nhttps://example.org/1.jpg\ta\n",
        ".txt": b"https://example.org/1.jpg\thello\nhttps://example.org/2.jpg\n",
        ".jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in rows),
        ".json": json.dumps(rows).encode(),
        ".parquet": parquet.getvalue(),
        ".tar": tar.getvalue(),
    }
    packed = {".csv": gzip.compress(made[".csv"]), ".jsonl": gzip.compress(made[".jsonl"])}
    named = [*made.items(), *packed.items()]
    return [bytes([SUFFIXES.index(suffix)]) + body for suffix, body in named]


def in_lists() -> list[tuple[bytes, bytes, bytes]]:
    cells = (b'"', b',"', b'"",', b"a,", b'"a\n', b"\n", b'"\n"', b"\\", b"\xff", b"'a' ", b"[", b"{", b"(", b"-")
    values = (b"[", b'{"a":', b"[],", b'{"url":"http://a/"},', b'"', b'"a",', b"1", b"1,", b"\\", b" ", b'{"a', b"-")
    text = b"url,caption\nhttps://example.org/1.jpg,"
    return [
        *((b"\0" + text, cell, b"\n") for cell in cells),
        *((b"\0" + text + b'"[', cell, b']"\n') for cell in cells),
        *((b"\2http://a/\t", cell, b"") for cell in cells),
        *((bytes([kind]) + before, value, b"\n") for kind in (3, 4) for before in (b"", b"[") for value in values),
        *((b'\3{"url":"http://a/","caption":', value, b"}\n") for value in values),
    ]


SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet", ".tar")


def _as_file(data: bytes, read: Callable[[Path], str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"list{SUFFIXES[(data[0] if data else 0) % len(SUFFIXES)]}"
        path.write_bytes(data[1:])
        return read(path)


def check_one_line(error: Exception) -> None:
    if "\n" in str(error):
        raise AssertionError("an error of several lines") from error


def index_one(data: bytes) -> str:
    """``humanvlm index`` of one file."""
    from humanvlm.errors import UserError
    from humanvlm.index.build import Options, build_index

    def read(path: Path) -> str:
        try:
            build_index([str(path)], path.parent / "out", Options(base_url="https://example.org/"))
        except UserError as error:
            check_one_line(error)
            return "error"
        return "index"

    return _as_file(data, read)


def score_one(data: bytes) -> str:
    """The readers of references and predictions."""
    from humanvlm.errors import UserError
    from humanvlm.evaluate import files

    def read(path: Path) -> str:
        outcomes = ""
        for reader in (files.read_rows, files.read_array, files.read_tab_separated):
            try:
                outcomes += str(min(sum(1 for _ in reader(path)), 1))
            except UserError as error:
                check_one_line(error)
                outcomes += "e"
        return outcomes

    return _as_file(data, read)


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
    from humanvlm.evaluate.metrics.boxes import find_numbers, read_box
    from humanvlm.evaluate.metrics.pck import parse_points
    from humanvlm.evaluate.metrics.ptb import tokenize
    from humanvlm.evaluate.tasks import attributes, choice, mme, pope, vqa
    from humanvlm.index.cells import address, texts_of
    from humanvlm.inference.base import Reply
    from humanvlm.inference.chat import parse_reply
    from humanvlm.inference.failures import AttemptError
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
    choice.parse_choice(answer.text, {"A": "a man", "B": "a dog"})
    for parse in (attributes.parse_answer, mme.parse_answer, pope.says_yes, pope.is_answer, pope.contradicts):
        parse(answer.text)
    vqa.normalise(answer.text)
    tokenize(text[:2_000])
    texts_of(text)
    address(text, "https://example.org/", joined=True)
    with suppress(AttemptError, UserError):
        parse_reply("k", data, 0.1, "human_caption.endpoint")
    return "box" if box.box else "caption" if cleaned else "nothing"


TARGETS = {
    target.name: target
    for target in (
        Target("decoder", pictures, decode_one, in_pictures),
        Target("strip", pictures, strip_one, in_pictures),
        Target("consent", consent_files, consent_one, in_consent_files),
        Target("index", lists, index_one, in_lists),
        Target("score", lists, score_one, in_lists),
        Target("replies", replies, reply_one, in_replies),
    )
}


def mutated(chance: random.Random, pool: Sequence[bytes]) -> bytes:
    data = bytearray(chance.choice(pool))
    for _ in range(chance.choice((0, 1, 1, 2, 4, 16))):
        if not data:
            break
        at = chance.randrange(len(data))
        match chance.randrange(7):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at:]
            case 2:
                del data[at : at + chance.randrange(1, 64)]
            case 3:
                data[at:at] = data[at : at + chance.randrange(1, 256)]
            case 4:
                other = chance.choice(pool)
                data[at:] = other[chance.randrange(len(other)) :] if other else b""
            case 5:
                if chance.random() < 0.1:
                    data[at:at] = data[at : at + chance.randrange(1, 16)] * chance.randrange(1 << 12)
            case _:
                size = chance.choice((1, 2, 4))
                value = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
                data[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, chance.choice(("big", "little")))
    return bytes(data[:MOST_BYTES])


def worker(options: argparse.Namespace) -> None:
    """Run until the time or the runs are over; ``last.bin`` holds the input under work, so that a death can be
    repeated."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    target, outcomes = TARGETS[options.target], Counter[str]()
    target.run(target.seeds()[0])  # what is imported late
    deadline, slowest = time.monotonic() + options.seconds, 0.0
    for data in inputs(options, target):
        (options.out / "last.bin").write_bytes(data)
        clock = time.monotonic()
        try:
            outcomes[target.run(data)] += 1
        except Exception as error:
            outcomes["CRASH"] += 1
            name = options.out / f"crash-{target.name}-{outcomes['CRASH']}.bin"
            name.write_bytes(data)
            print(name, file=sys.stderr)
            traceback.print_exception(error, file=sys.stderr)
        if time.monotonic() - clock > slowest:
            slowest = time.monotonic() - clock
            (options.out / f"slowest-{target.name}.bin").write_bytes(data)
        if time.monotonic() > deadline:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"outcomes": dict(outcomes), "slowest_s": round(slowest, 3), "peak_mb": peak // 1024}))


def inputs(options: argparse.Namespace, target: Target) -> Iterator[bytes]:
    """Mutations of the seeds and of the corpus, or repeats of what is asked for."""
    if options.repeats:
        yield from (repeated(parts, options.repeats) for parts in target.repeats())
        return
    files = sorted(path for path in options.corpus.rglob("*") if path.is_file()) if options.corpus else []
    pool = [*target.seeds(), *(path.read_bytes() for path in files if path.stat().st_size < MOST_BYTES)]
    chance = random.Random(options.seed)
    for _ in range(options.runs) if options.runs else itertools.count():
        yield mutated(chance, pool)


def repeated(parts: tuple[bytes, bytes, bytes], size: int) -> bytes:
    """An input of about so many bytes."""
    before, unit, after = parts
    return before + unit * (size // len(unit)) + after


def work(run: Callable[[bytes], str], data: bytes) -> int:
    """How many calls reading an input takes, of Python and of C functions."""
    counted = itertools.count()
    sys.setprofile(lambda *_: next(counted) and None)
    try:
        run(data)
    finally:
        sys.setprofile(None)
    return next(counted)


def guided(options: argparse.Namespace) -> None:
    """The same by atheris, which ends the process at the first crash."""
    import atheris

    target = TARGETS[options.target]
    seeds = options.out / f"seeds-{target.name}"
    seeds.mkdir(exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (seeds / f"{number:03}").write_bytes(data)
    with atheris.instrument_imports(include=["humanvlm", "PIL", "json"]):
        target.run(target.seeds()[0])

    def one(data: bytes) -> None:
        target.run(data)

    limits = [f"-max_total_time={int(options.seconds)}", f"-runs={options.runs or -1}", f"-max_len={MOST_BYTES}"]
    kept = [f"-artifact_prefix={options.out}/", f"-seed={options.seed}", "-timeout=20", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *limits, *kept, str(seeds), *([str(options.corpus)] if options.corpus else [])], one)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--runs", type=int, default=0, help="inputs at most; 0: as many as the time allows")
    parser.add_argument("--repeats", type=int, default=0, help="no mutations: repeats of so many bytes in all")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--corpus", type=Path, help="a folder of odd files to start from as well")
    parser.add_argument("--out", type=Path, default=Path(".state/fuzz"), help="where inputs that crash are left")
    parser.add_argument("--guided", action="store_true", help="by atheris; what a target prints is libFuzzer's")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.guided:
        guided(options)
    elif options.worker:
        worker(options)
    else:
        sys.exit(report(options))


def report(options: argparse.Namespace) -> int:
    """Run the worker and print what it found; 1 when there was a crash."""
    command = [sys.executable, __file__, "--worker", *sys.argv[1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=options.seconds + 120)
    if done.returncode != 0:
        print(f"the process died with {done.returncode}; its input is {options.out / 'last.bin'}", file=sys.stderr)
        print(json.dumps({"crashes": 1, "died": done.returncode}))
        return 1
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for name, count in sorted(result["outcomes"].items(), key=lambda item: -item[1]):
        print(f"{name:20} {count:10,}")
    crashes = result["outcomes"].get("CRASH", 0) + (result["slowest_s"] > SLOW_S)
    print(json.dumps({"executions": sum(result["outcomes"].values()), "crashes": crashes, **result}))
    return 1 if crashes else 0


if __name__ == "__main__":
    main()
