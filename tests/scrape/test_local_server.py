"""The loopback server: what it serves, what it refuses, and how it misbehaves on demand."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from humanvlm.errors import UserError
from humanvlm.scrape.local_server import HEADERS_FILE, serve

SPECIAL = {
    "gone.jpg": {"status": 410},
    "moved": {"status": 302, "headers": {"Location": "/a%20b.jpg"}},
    "private.jpg": {"headers": {"X-Robots-Tag": "noai"}},
    "slow.jpg": {"delay_s": 0.3},
    "cut.jpg": {"truncate": 100},
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    for name in ("a b.jpg", "private.jpg", "slow.jpg", "cut.jpg", "page.html"):
        (site / name).write_bytes(name.encode() * 500)
    (site / HEADERS_FILE).write_text(json.dumps(SPECIAL))
    (tmp_path / "secret.txt").write_text("secret")
    (site / "link.txt").symlink_to(tmp_path / "secret.txt")
    (site / ".env").write_text("secret")
    (site / "seen.txt").symlink_to(site / ".env")
    for name, text in ((".git", "secret"), (".well-known", "asked for"), (".well-known/.x", "secret")):
        (site / name).mkdir()
        (site / name / "config").write_text(text)
    return site


@contextmanager
def connected(port: int) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        yield connection


def get(
    connection: http.client.HTTPConnection, path: str, host: str = "photos.example", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection.putrequest("GET", path, skip_host=True)
    for name, value in {"Host": host, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def test_one_connection_serves_files_statuses_headers_and_redirects(site: Path) -> None:
    with serve({"photos.example": site}) as port, connected(port) as connection:
        status, headers, body = get(connection, "/a%20b.jpg?size=large")
        assert (status, headers["Content-Type"], body) == (200, "image/jpeg", b"a b.jpg" * 500)
        first = connection.sock
        assert get(connection, "/gone.jpg")[0] == 410
        assert get(connection, "/absent.jpg")[0] == 404
        status, moved, _ = get(connection, "/moved")
        assert (status, moved["Location"]) == (302, "/a%20b.jpg")
        assert get(connection, "/private.jpg")[1]["X-Robots-Tag"] == "noai"
        assert get(connection, "/a%20b.jpg", **{"If-None-Match": headers["ETag"]})[0] == 304
        assert get(connection, "/page.html")[0] == 200
        assert first is not None
        assert connection.sock is first, "the connection was not kept alive"


def test_slow_and_truncated_answers(site: Path) -> None:
    with serve({"photos.example": site}) as port, connected(port) as connection:
        start = time.monotonic()
        assert get(connection, "/slow.jpg")[0] == 200
        assert time.monotonic() - start >= 0.3
        with pytest.raises(http.client.IncompleteRead) as error:
            get(connection, "/cut.jpg")
        assert len(error.value.partial) == 100


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/x/../../secret.txt",
        "/..\\secret.txt",
        "//../secret.txt",
        "/link.txt",
        "/.env",
        "/%2eenv",
        "/seen.txt",
        "/.git/config",
        "/.well-known/.x/config",
        "/.well-known",
        "/%00",
        "/" + "x" * 5000,
        "/",
        f"/{HEADERS_FILE}",
        f"/x/../{HEADERS_FILE}",
    ],
)
def test_nothing_outside_the_folder_and_no_header_file(site: Path, path: str) -> None:
    with serve({"photos.example": site}) as port, connected(port) as connection:
        status, _, body = get(connection, path)
        assert status == 404
        assert b"secret" not in body


def test_absolute_file_paths_stay_inside(site: Path, tmp_path: Path) -> None:
    with serve({"photos.example": site}) as port, connected(port) as connection:
        assert get(connection, f"/{tmp_path / 'secret.txt'}")[0] == 404


def test_the_host_picks_the_folder(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "here.txt").write_text("other")
    with serve({"photos.example": site, "other.example": other}) as port, connected(port) as connection:
        assert get(connection, "/here.txt", host="Other.example:8080")[2] == b"other"
        assert get(connection, "/here.txt", host="photos.example")[0] == 404
        assert get(connection, "/here.txt", host="unknown.example")[0] == 421


def test_what_is_there_to_be_asked_for_is_served(site: Path) -> None:
    with serve({"photos.example": site}) as port, connected(port) as connection:
        assert get(connection, "/.well-known/config")[2] == b"asked for"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8099", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8099", 200),
        ("rebound.example", 421),
        ("rebound.example:8099", 421),
        ("127.0.0.1.rebound.example", 421),
        ("127.0.0.1@rebound.example", 421),
        ("rebound.example#@127.0.0.1", 421),
        ("[127.0.0.1", 421),
        ("", 421),
    ],
)
def test_a_name_that_is_not_its_own_reads_nothing(site: Path, host: str, status: int) -> None:
    with serve({"": site}) as port, connected(port) as connection:
        assert get(connection, "/page.html", host=host)[0] == status


def test_two_hosts_are_none(site: Path) -> None:
    with serve({"": site}) as port, connected(port) as connection:
        connection.putrequest("GET", "/page.html", skip_host=True)
        connection.putheader("Host", "localhost", "rebound.example")
        connection.putheader("Host", "rebound.example")
        connection.endheaders()
        assert connection.getresponse().status == 421


def test_a_page_it_serves_may_do_nothing(site: Path) -> None:
    with serve({"photos.example": site}) as port, connected(port) as connection:
        headers = get(connection, "/page.html")[1]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_head_has_no_body(site: Path) -> None:
    with serve({"photos.example": site}) as port, connected(port) as connection:
        connection.request("HEAD", "/a%20b.jpg", headers={"Host": "photos.example"})
        response = connection.getresponse()
        assert (response.status, response.headers["Content-Length"], response.read()) == (200, "3500", b"")
        assert get(connection, "/page.html")[0] == 200


def test_it_stops_with_the_block(site: Path) -> None:
    with serve({"": site}) as port:
        pass
    with connected(port) as connection, pytest.raises(ConnectionRefusedError):
        get(connection, "/a%20b.jpg")


def test_errors_name_the_folder_and_the_file(site: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: no such folder"), serve({"": tmp_path / "absent"}):
        pass
    (site / HEADERS_FILE).write_text(json.dumps({"a.jpg": {"statsu": 404}}))
    with pytest.raises(UserError, match=HEADERS_FILE), serve({"": site}):
        pass
