"""Names of columns: those that stages write, and further ones of the index, which every stage carries on."""

from collections.abc import Iterable

import pyarrow as pa

ALSO_AT = "also_at"  # of human_scenes: where duplicates of the picture were
TLS = "tls"  # of raw_scrape: whether the server had to prove who it is
OWN = frozenset(
    (
        *("id", "url", "final_url", "text", "captions", "license", "image", "bytes", "width", "height", "format"),
        *("sha256", "source_sha256", "status", "fetched_at", "content_type", "etag", "last_modified", "headers", TLS),
        *(ALSO_AT, "phash", "faces", "people", "objects", "nsfw", "sharpness", "exposure"),
        *("language", "language_score"),
        *("facts", "short", "detailed", "split", "captioner", "repaired", "replaced", "faithfulness"),
        *("claims_supported", "claims_unsupported", "claims"),
        *("face", "body", "background", "human_caption_hq", "conversations"),
    )
)


def further(names: Iterable[str]) -> list[str]:
    """Columns that no stage writes, in their order."""
    return [name for name in names if name not in OWN]


def carried(names: Iterable[str]) -> dict[str, str]:
    """What shards call further columns of the index, by their name there: one that a stage writes gets ``index_``."""
    found: dict[str, str] = {}
    taken = OWN | set(names := list(names))
    for name in names:
        found[name] = name
        while found[name] in OWN or (found[name] != name and found[name] in taken):
            found[name] = f"index_{found[name]}"
        taken |= {found[name]}
    return found


def plain(kind: pa.DataType) -> pa.DataType:
    """The type that shards have for a column of the index: no dictionary, and texts where there are only nulls."""
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    return pa.string() if pa.types.is_null(kind) else kind
