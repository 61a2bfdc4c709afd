"""A server of public archives on loopback, in the layout of data.binance.vision, with the faults that a test orders."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Archive:
    """The files, and what the server does wrong, once each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}  # path -> bytes after which the connection ends
        self.busy: dict[str, int] = {}  # path -> so many answers are 503
        self.asked: list[tuple[str, str]] = []  # path, range
        self.base = ""

    def add(self, path: str, lines: str) -> bytes:
        """Publish a csv as a zip with its checksum."""
        name = path.rpartition("/")[2]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(zipfile.ZipInfo(name.replace(".zip", ".csv")), lines)
        self.files[path] = buffer.getvalue()
        self.files[f"{path}.CHECKSUM"] = f"{hashlib.sha256(buffer.getvalue()).hexdigest()}  {name}\n".encode()
        return buffer.getvalue()


@contextmanager
def serving(archive: Archive) -> Iterator[Archive]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            wanted = self.headers.get("Range", "")
            archive.asked.append((path, wanted))
            if archive.busy.get(path, 0):
                archive.busy[path] -= 1
                self.send_error(503)
                return
            if path not in archive.files:
                self.send_error(404)
                return
            body = archive.files[path]
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if begin >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(body) - begin))
            self.end_headers()
            self.wfile.write(body[begin : archive.cut.pop(path, len(body))])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    archive.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
