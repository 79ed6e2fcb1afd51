import io
import json
import struct
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape import embedded
from humanvlm.scrape.embedded import check_metadata
from humanvlm.scrape.picture import prepare
from humanvlm.scrape.reasons import RefusedError

VOCABULARY = "http://ns.useplus.org/ldf/vocab/"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def reason(data: bytes, **changes: Any) -> str:
    try:
        prepare(data, RawScrape(**changes))
    except RefusedError as refusal:
        return refusal.reason
    return "ok"


def xmp(value: str = "DMI-PROHIBITED-AIMLTRAINING", form: str = "attribute") -> bytes:
    """An XMP packet with a value of plus:DataMining, as an attribute, an element or a resource."""
    held = {
        "attribute": f'<rdf:Description plus:DataMining="{VOCABULARY}{value}"/>',
        "element": f"<rdf:Description><plus:DataMining>{VOCABULARY}{value}</plus:DataMining></rdf:Description>",
        "resource": f'<rdf:Description><plus:DataMining rdf:resource="{VOCABULARY}{value}"/></rdf:Description>',
        "none": f'<rdf:Description Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>',
    }[form]
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" '
        f'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">{held}</rdf:RDF></x:xmpmeta>'
    ).encode()


def picture(kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (48, 32), (9, 99, 199)).save(sink, kind, **options)
    return sink.getvalue()


def png(*chunks: tuple[bytes, bytes], late: bool = False) -> bytes:
    """A PNG with further chunks after its head, or late, before its end."""
    data = picture("PNG")
    at = data.rindex(b"IEND") - 4 if late else 33
    made = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return data[:at] + made + data[at:]


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    data = picture("JPEG")
    made = b"".join(bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body for code, body in segments)
    return data[:2] + made + data[2:]


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    data = picture("WEBP", xmp=b"<x/>")  # of the extended form
    body = data[8:] + b"".join(
        name + struct.pack("<I", len(held)) + held + b"\0" * (len(held) % 2) for name, held in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(store: bytes) -> bytes:
    """A GIF with an application extension that holds a manifest store in blocks of at most 255 bytes."""
    data = picture("GIF")
    pieces = [store[at : at + 255] for at in range(0, len(store), 255)]
    made = b"".join(bytes([len(piece)]) + piece for piece in pieces)
    return data[:-1] + b"\x21\xff\x0bC2PA_GIF\1\0\0" + made + b"\0" + data[-1:]


def box(kind: bytes, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def superbox(label: str, *contents: bytes, salt: bytes = b"") -> bytes:
    return box(b"jumb", box(b"jumd", b"c" * 16, b"\3", label.encode(), b"\0", salt), *contents)


def cbor(value: Any) -> bytes:
    """Texts and maps in CBOR, of which C2PA asks for the shortest form."""

    def head(major: int, size: int) -> bytes:
        if size < 24:
            return bytes([major << 5 | size])
        return bytes([major << 5 | 24, size]) if size < 256 else struct.pack(">BH", major << 5 | 25, size)

    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    return head(5, len(value)) + b"".join(cbor(key) + cbor(item) for key, item in value.items())


def manifest(
    use: str = "notAllowed", entry: str = "ai_generative_training", owner: str = "cawg", form: str = "cbor"
) -> bytes:
    """A manifest store with a claim that refers to an assertion about training."""
    name = f"{owner}.training-mining"
    value = {"entries": {f"{owner}.data_mining": {"use": "allowed"}, f"{owner}.{entry}": {"use": use}}}
    content = box(b"cbor", cbor(value)) if form == "cbor" else box(b"json", json.dumps(value).encode())
    claim = superbox("c2pa.claim", box(b"cbor", cbor({"url": f"self#jumbf=c2pa.assertions/{name}"})))
    store = superbox("c2pa.assertions", superbox(name, content, box(b"free", b"x" * 9)))
    return superbox("c2pa", superbox("urn:uuid:1", claim, store))


def app11(store: bytes, size: int = 60_000) -> list[tuple[int, bytes]]:
    """JPEG segments that hold one box, cut into pieces (ISO/IEC 19566-5, D.2)."""
    pieces = [store[at : at + size] for at in range(8, len(store), size)]
    return [(0xEB, b"JP\0\1" + struct.pack(">I", n) + store[:8] + piece) for n, piece in enumerate(pieces, 1)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("form", ["attribute", "element", "resource"])
def test_a_picture_whose_xmp_forbids_data_mining_is_refused(kind: str, form: str) -> None:
    if kind == "PNG":
        data = png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(form=form)))
    else:
        data = picture(kind, xmp=xmp(form=form))
    assert reason(data) == "opt_out_iptc"
    assert reason(data, respect_picture_metadata=False) == "ok"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("DMI-PROHIBITED", "opt_out_iptc"),
        ("DMI-PROHIBITED-AIMLTRAINING", "opt_out_iptc"),
        ("DMI-PROHIBITED-GENAIMLTRAINING", "opt_out_iptc"),
        ("DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING", "opt_out_iptc"),
        ("DMI-PROHIBITED-SEECONSTRAINT", "opt_out_iptc"),
        ("DMI-PROHIBITED-SEEEMBEDDEDRIGHTSEXPRESSION", "opt_out_iptc"),
        ("DMI-UNSPECIFIED", "ok"),
        ("DMI-ALLOWED", "ok"),
    ],
)
def test_every_value_of_plus_that_prohibits_does(value: str, expected: str) -> None:
    assert reason(picture("JPEG", xmp=xmp(value))) == expected


def test_where_a_picture_comes_from_is_no_opt_out() -> None:
    assert reason(picture("JPEG", xmp=xmp(form="none"))) == "ok"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "chunk",
    [
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0\0" + zlib.compress(xmp())),
        (b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(b"\nxmp\n  400\n" + xmp().hex("\n", 36).encode())),
        (b"tEXt", b"Raw profile type xmp\0\nxmp\n     400\n" + xmp().hex("\n", 36).encode() + b"\n"),
    ],
)
def test_packed_texts_of_a_png_are_read(chunk: tuple[bytes, bytes], late: bool) -> None:
    assert reason(png(chunk, late=late)) == "opt_out_iptc"


def test_xmp_of_several_segments_is_read_as_one() -> None:
    body = b" " * 100 + xmp()
    cut = body.index(b"DMI-") + 6
    pieces = [(0, body[:cut]), (cut, body[cut:])]
    segments = [
        (0xE1, embedded.EXTENSION + b"g" * 32 + struct.pack(">II", len(body), offset) + piece)
        for offset, piece in reversed(pieces)
    ]
    assert reason(jpeg(*segments)) == "opt_out_iptc"


@pytest.mark.parametrize("owner", ["c2pa", "cawg"])
@pytest.mark.parametrize("form", ["cbor", "json"])
@pytest.mark.parametrize("entry", ["data_mining", "ai_training", "ai_generative_training", "ai_inference"])
@pytest.mark.parametrize(("use", "expected"), [("notAllowed", 1), ("constrained", 1), ("allowed", 0)])
def test_an_assertion_that_forbids_training_is_heeded(
    owner: str, form: str, entry: str, use: str, expected: int
) -> None:
    store = manifest(use, entry, owner, form)
    for data in (
        jpeg(*app11(store)),
        jpeg(*app11(store, 61)),
        png((b"caBX", store)),
        webp((b"C2PA", store)),
        gif(store),
    ):
        assert reason(data) == ("opt_out_c2pa" if expected else "ok")
    assert reason(png((b"caBX", store)), respect_picture_metadata=False) == "ok"


def test_an_assertion_with_salt_or_of_another_version_is_read() -> None:
    content = box(b"cbor", cbor({"entries": {"cawg.ai_training": {"use": "notAllowed"}}}))
    store = superbox("cawg.training-mining.v2__1", content, salt=box(b"c2sh", b"s" * 16))
    assert reason(png((b"caBX", store))) == "opt_out_c2pa"


def c2pa(kind: bytes, *inner: bytes) -> bytes:
    """A superbox of C2PA's own kinds: c2pa (store), c2ma (manifest), c2cm (compressed manifest)."""
    identifier = kind + bytes.fromhex("00110010800000aa00389b71")
    return box(b"jumb", box(b"jumd", identifier, b"\3c2pa\0"), *inner)


@pytest.mark.parametrize("inner", [b"", box(b"brob", b"jumb", b"packed")])
def test_a_manifest_that_is_compressed_may_forbid_anything(inner: bytes) -> None:
    compressed = c2pa(b"c2pa", c2pa(b"c2cm" if not inner else b"c2ma", inner))
    for data in (jpeg(*app11(compressed)), png((b"caBX", compressed)), webp((b"C2PA", compressed)), gif(compressed)):
        assert reason(data) == "c2pa_unreadable"
        assert reason(data, respect_picture_metadata=False) == "ok"
    plain = c2pa(b"c2pa", c2pa(b"c2ma", superbox("c2pa.claim", box(b"cbor", cbor({"title": "brob"})))))
    assert reason(png((b"caBX", plain))) == "ok"


@pytest.mark.parametrize(
    ("provenance", "expected"),
    [
        (' dcterms:provenance="https://c.example/1.c2pa"/>', "c2pa_unreadable"),
        ("><dcterms:provenance>\n http://c.example/1</dcterms:provenance></rdf:Description>", "c2pa_unreadable"),
        (' dcterms:provenance="self#jumbf=c2pa/urn:uuid:1"/>', "ok"),
        (' dcterms:provenance=""/>', "ok"),
        (' note="dcterms:provenance"/>', "ok"),
    ],
)
def test_a_manifest_that_is_kept_elsewhere_may_forbid_anything(provenance: str, expected: str) -> None:
    packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description{provenance}</x:xmpmeta>'.encode()
    assert reason(picture("JPEG", xmp=packet)) == expected
    text = b"XML:com.adobe.xmp\0\1\0en\0\0" + zlib.compress(packet)
    assert reason(png((b"iTXt", text))) == expected
    store = c2pa(b"c2pa", c2pa(b"c2ma"))
    assert reason(png((b"iTXt", text), (b"caBX", store))) == "ok"  # what is in the picture counts


def test_a_reference_or_a_text_about_it_is_none() -> None:
    texts = {"c2pa.training-mining\0": "use", "note": "notAllowed", "use": "allowed", "why": "not notAllowed"}
    assert reason(png((b"caBX", superbox("c2pa.other", box(b"cbor", cbor(texts)))))) == "ok"
    content = box(b"cbor", cbor({"entries": {"cawg.ai_training": {"use": "allowed", "constraint_info": "notAllowed"}}}))
    assert reason(png((b"caBX", superbox("cawg.training-mining", content)))) == "ok"


@given(st.binary(max_size=300), st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]), st.integers(0, 400))
def test_no_bytes_raise_anything_else(noise: bytes, kind: str, at: int) -> None:
    whole = {"JPEG": jpeg(*app11(manifest(), 50)), "PNG": png((b"caBX", manifest()))}.get(kind, manifest())
    for data in (noise, whole[:at] + noise + whole[at:], whole[:at]):
        with suppress(RefusedError):
            check_metadata(data, kind)


def test_little_is_read_of_assertions_with_lying_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def forbids(data: bytes) -> bool:
        read.append(len(data))
        return False

    monkeypatch.setattr(embedded, "_cbor_forbids", forbids)
    label = box(b"jumd", b"c" * 16, b"\3cawg.training-mining\0")
    lying = struct.pack(">I4s", 0xFFFFFFFF, b"jumb") + label + struct.pack(">I4s", 0xFFFFFFFF, b"cbor")
    check_metadata(lying * 50_000, "WEBP")
    assert len(read) == embedded.MAX_ASSERTIONS
    assert max(read) <= embedded.MAX_ASSERTION


def test_so_many_segments_of_a_jpeg_are_looked_through() -> None:
    wanted = app11(manifest())
    for others, expected in ((embedded.MAX_SEGMENTS // 2, "opt_out_c2pa"), (embedded.MAX_SEGMENTS, "ok")):
        data = jpeg(*[(0xEF, b"")] * others, *app11(manifest(), 50))
        try:
            check_metadata(data, "JPEG")
            found = "ok"
        except RefusedError as refusal:
            found = refusal.reason
        assert found == expected
    with pytest.raises(RefusedError):  # what is in one piece is found anywhere
        check_metadata(jpeg(*[(0xEF, b"")] * embedded.MAX_SEGMENTS, *wanted), "JPEG")


def test_texts_of_a_png_are_unpacked_within_a_bound() -> None:
    packed = zlib.compress(bytes(16 << 20))
    chunks = [(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)] * 50
    assert sum(map(len, embedded._png_texts(png(*chunks)))) == embedded.MAX_TEXT


def test_cbor_that_is_nested_or_without_end_is_walked_once() -> None:
    assert not list(embedded._cbor_texts(b"\x81" * 10_000))
    assert not list(embedded._cbor_texts(b"\x9f" * 10_000))
    assert list(embedded._cbor_texts(b"\x7f\x63abc\xff\x7b\xff\xff\xff\xff\xff\xff\xff\xffrest")) == [b"abc", b"rest"]
