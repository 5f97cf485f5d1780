"""A public set of four scans, and a server on this machine that tells the truth or lies.

python tests/tiny_server.py URL DATA_DIR     fetches the set from such a server
"""

from __future__ import annotations

import gzip
import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from ssl_lib.data import download, transfer
from ssl_lib.data import published as datasets

CONTENT = {
    f"{kind}/hippocampus_{number:03}.nii.gz": bytes([number]) * 3000 + kind.encode()
    for number in (1, 2, 3, 4)
    for kind in ("images", "labels")
}
FIRST = "images/hippocampus_001.nii.gz"
SOURCE = "owner/repository/commit/"
HONEST_BYTES = sum(map(len, CONTENT.values()))
MOST_BYTES = 10_000
ENDLESS_BYTES = 50_000_000
"""Where the server stops a lie that was meant to be endless: a test that gets there has failed."""


def tiny_entry() -> datasets.PublishedSet:
    """A hippocampus set of four scans."""
    about = {"mirrors": (SOURCE,), "archive": None, "most_bytes": MOST_BYTES}
    entry = replace(datasets.PUBLISHED["hippocampus"], **about)
    scans = tuple(f"hippocampus_{number:03}" for number in (1, 2, 3, 4))
    entry.__dict__["hashes"] = {p: hashlib.sha256(c).hexdigest() for p, c in CONTENT.items()}
    entry.__dict__.update(training=scans[:3], validation=(), test=scans[3:])
    return entry


def with_archive(
    entry: datasets.PublishedSet, archive: datasets.OfficialArchive
) -> datasets.PublishedSet:
    """The same set with an official archive."""
    kept = ("hashes", "training", "validation", "test")
    made = replace(entry, archive=archive)
    made.__dict__.update({name: entry.__dict__[name] for name in kept})
    return made


def use_tiny_set(patch: pytest.MonkeyPatch) -> datasets.PublishedSet:
    """The tiny set stands for the hippocampi, nobody waits, and the public host is unreachable."""
    entry = tiny_entry()
    patch.setitem(datasets.PUBLISHED, "hippocampus", entry)
    patch.setattr(download, "PUBLIC_HOST", "http://127.0.0.1:9/")
    patch.setattr(transfer, "PAUSE_SECONDS", 0.001)
    patch.setattr(transfer, "CHUNK_BYTES", 250)
    patch.delenv("SSL_MIRROR", raising=False)
    patch.delenv("SSL_DATA_DIR", raising=False)
    return entry


BOMB = gzip.compress(bytes(3_000_000))


class WebServer(ThreadingHTTPServer):
    request_queue_size = 64  # with fewer, a crowd of first connections waits for a second
    daemon_threads = True


class Server:
    """Serves `files`; `faults` maps a path to what its next answers do wrong, in turn, and
    `always` to what all later ones do. `witness` is called while answers are on their way."""

    def __init__(self) -> None:
        self.files = {f"/{SOURCE}{path}": content for path, content in CONTENT.items()}
        self.faults: dict[str, list[str]] = {}
        self.always: dict[str, str] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.witness: Callable[[], None] = lambda: None
        self.bytes_sent = 0
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with suppress(ConnectionError):  # the other side has had enough
                    server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = WebServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def fault(self, path: str, *kinds: str) -> None:
        self.faults[f"/{SOURCE}{path}"] = list(kinds)

    def ranges_asked(self, path: str) -> list[str | None]:
        return [asked for requested, asked in self.requests if requested == f"/{SOURCE}{path}"]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        path, asked = unquote(handler.path), handler.headers.get("Range")
        self.requests.append((path, asked))
        self.witness()
        fault = self.faults[path].pop(0) if self.faults.get(path) else self.always.get(path, "")
        if path not in self.files or fault[:3].isdecimal():
            status, _, wait = (fault or "404").partition(" ")
            self._refuse(handler, int(status), wait)
        elif fault.startswith("to "):
            self._redirect(handler, fault.removeprefix("to ").replace("ITSELF", path))
        elif fault == "silence":
            self.closing.wait(5)
        elif fault == "babble":
            handler.wfile.write(b"220 this is not a web server\r\n\r\n")
        elif fault != "drop":
            self._send(handler, self.files[path], fault, asked)
        self.witness()

    @staticmethod
    def _refuse(handler: BaseHTTPRequestHandler, status: int, wait: str) -> None:
        handler.send_response(status)
        if wait:
            handler.send_header("Retry-After", wait)
        handler.send_header("Content-Length", "0")
        handler.send_header("Connection", "close")
        handler.end_headers()

    @staticmethod
    def _redirect(handler: BaseHTTPRequestHandler, place: str) -> None:
        handler.send_response(302)
        handler.send_header("Location", place)
        handler.send_header("Content-Length", "0")
        handler.send_header("Connection", "close")
        handler.end_headers()

    def _send(
        self, handler: BaseHTTPRequestHandler, whole: bytes, fault: str, asked: str | None
    ) -> None:
        """Headers and content, one of them perhaps wrong."""
        content = b"not these bytes" if fault == "wrong" else whole
        start = int(asked[6:-1]) if asked and fault not in ("wrong", "no range") else 0
        begins = start + 7 * (fault == "wrong range")
        body = content[begins:]
        headers = {"Connection": "close"}
        if start:
            headers["Content-Range"] = f"bytes {begins}-{len(content) - 1}/{len(content)}"
        if fault == "range unsaid":
            start, body, headers = 1, content[100:], {"Connection": "close"}
        if "packed" in fault:
            headers["Content-Encoding"] = "gzip"
            body = BOMB if fault == "packed bomb" else gzip.compress(body)
        if fault == "called packed":
            headers["Content-Encoding"], body = "gzip", content[start:]
        lengths = {"longer": 500, "shorter": -500}
        headers["Content-Length"] = str(len(body) + lengths.get(fault, 0))
        handler.send_response(206 if start else 200)
        for name, value in headers.items():
            if fault not in ("endless", "negative length") or name != "Content-Length":
                handler.send_header(name, value)
        if fault in ("two lengths", "negative length"):
            handler.send_header("Content-Length", "-5" if fault == "negative length" else "7")
        handler.end_headers()
        for piece in self._pieces(body, fault):
            handler.wfile.write(piece)
            self.bytes_sent += len(piece)

    def _pieces(self, body: bytes, fault: str) -> Iterator[bytes]:
        if fault == "endless":
            for _ in range(0, ENDLESS_BYTES, 10_000):
                yield bytes(10_000)
                self.witness()
        elif fault == "drip":
            for start in range(0, len(body), 10):
                yield body[start : start + 10]
                if self.closing.wait(0.03):
                    break
        elif fault == "stall":
            yield body[:1000]
            self.closing.wait(5)
        elif fault.endswith("cut"):
            yield body[: min(1000, len(body) // 2)]
        else:
            yield body[:1000]
            self.witness()
            yield body[1000:]

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def watched_server(folder: Path) -> Iterator[Server]:
    """A server that looks, while it answers, for wrong bytes under a final name in `folder`."""
    running, seen = Server(), []

    def look() -> None:
        for path, content in CONTENT.items():
            try:
                found = (folder / path).read_bytes()
            except OSError:  # not there
                continue
            if found != content:
                seen.append(path)

    running.witness = look
    yield running
    running.close()
    look()
    assert seen == [], "something unverified stood under its final name"


def fetch(tmp_path: Path, server: Server) -> None:
    """Fetch the tiny set into `tmp_path / "data"`."""
    download.fetch("hippocampus", tmp_path / "data", mirror=server.url, say=lambda _: None)


def assert_complete(folder: Path) -> None:
    assert {path: (folder / path).read_bytes() for path in CONTENT} == CONTENT
    assert not list(folder.rglob("*.part"))


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main(url: str, data_dir: Path) -> None:
    patch = pytest.MonkeyPatch()
    use_tiny_set(patch)
    download.fetch("hippocampus", data_dir, mirror=url, say=lambda _: None)
    print("fetched")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
