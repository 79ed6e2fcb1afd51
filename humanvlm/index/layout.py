"""Which column of a table is the address, which the texts, which the hashes: by the names people give them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from humanvlm.errors import UserError

URL_COLUMNS = ("url", "image_url", "img_url", "imageurl", "link", "uri")
PATH_COLUMNS = (
    "path", "image_path", "img_path", "file_path", "filepath", "file_name", "filename", "image_name", "file",
    "image", "img",
)  # fmt: skip
TEXT_COLUMNS = (
    "text", "caption", "txt", "alt", "alt_text", "captions", "texts", "human_caption", "human_caption_hq",
    "description", "title", "sentence", "sentences", "comment", "prompt",
    "conversations", "messages",
)  # fmt: skip
LICENSE_COLUMNS = ("license", "licence", "license_id", "licence_id")
SHA256_COLUMNS = ("sha256", "sha256hash")
MD5_COLUMNS = ("md5", "md5hash")
# The released files: several addresses of one picture in a cell.
RELEASED = ("laion_caption", "human_caption", "human_caption_hq")
SECOND_TEXTS = ("laion_caption", "captions")  # further texts of the same picture
SHOWN = 30  # columns named in an error


@dataclass(frozen=True)
class Layout:
    """Which columns are read. joined: the URL column may hold several addresses with commas between them.
    kept: columns that go into the index as they are, by their names there."""

    url: str | None
    texts: tuple[str, ...] = ()
    license: str | None = None
    sha256: str | None = None
    md5: str | None = None
    joined: bool = False
    kept: tuple[tuple[str, str], ...] = ()

    @property
    def columns(self) -> list[str]:
        """Every column that is read, once."""
        others = (name for name in (self.url, self.license, self.sha256, self.md5) if name)
        return list(dict.fromkeys([*self.texts, *others, *(column for _, column in self.kept)]))

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """Column names by what they are taken for."""
        named = {"url": (self.url,) if self.url else (), "text": self.texts}
        named |= {
            role: (name,) if name else ()
            for role, name in (("license", self.license), ("sha256", self.sha256), ("md5", self.md5))
        }
        return {role: names for role, names in named.items() if names}


def find_layout(
    source: str,
    columns: Sequence[str],
    url_column: str | None = None,
    text_column: str | None = None,
    kept: Sequence[str] = (),
    has_pictures: bool = False,
) -> Layout:
    """Columns by the names given, else by known names, whatever their case and the spaces around them.

    kept: names of further columns, of which the table may lack some. has_pictures: it needs no address. Raises
    UserError listing the columns there are.
    """
    url = _named(source, columns, url_column) or _find(columns, URL_COLUMNS) or _find(columns, PATH_COLUMNS)
    if url is None and not has_pictures:
        if not columns:
            raise UserError(f"{source}: no columns: it is empty")
        raise UserError(f"{source}: no known URL column; name it with --url-column; has {listed(columns)}")
    text = _named(source, columns, text_column) or _find([name for name in columns if name != url], TEXT_COLUMNS)
    others = [_find(columns, [name]) for name in SECOND_TEXTS] if text_column is None else []
    return Layout(
        url,
        tuple(dict.fromkeys(name for name in (text, *others) if name)),
        _find(columns, LICENSE_COLUMNS),
        _find(columns, SHA256_COLUMNS),
        _find(columns, MD5_COLUMNS),
        joined=any(_find(columns, [name]) for name in RELEASED),
        kept=tuple((name, found) for name in kept if (found := _find(columns, [name]))),
    )


def has_address(columns: Sequence[str]) -> bool:
    """Whether the names look like those of a header with a column of addresses."""
    return bool(_find(columns, URL_COLUMNS) or _find(columns, PATH_COLUMNS))


def listed(columns: Iterable[str]) -> str:
    """Column names for an error, each on one line and not too many."""
    names = [" ".join(name.split())[:60] for name in columns]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _named(source: str, columns: Sequence[str], name: str | None) -> str | None:
    if name is None or name in columns:
        return name
    if found := _find(columns, [name]):
        return found
    raise UserError(f"{source}: no column {name!r}; has {listed(columns)}")


def _find(columns: Sequence[str], known: Sequence[str]) -> str | None:
    by_name = {name.strip().casefold(): name for name in reversed(columns)}
    return next((by_name[name.strip().casefold()] for name in known if name.strip().casefold() in by_name), None)
