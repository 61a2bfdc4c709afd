"""The body of an answer, decompressed if needed, and never longer than a limit."""

import zlib

GZIP_WINDOW = 16 + zlib.MAX_WBITS
ENCODINGS = {"gzip": GZIP_WINDOW, "x-gzip": GZIP_WINDOW, "deflate": zlib.MAX_WBITS}


class HttpBodyError(Exception):
    """The body of an answer cannot be used; the text states why."""


class BodyReader:
    """Collects a body chunk by chunk. We ask for no compression, but a proxy may compress anyway."""

    def __init__(self, content_encoding: str, bytes_max: int) -> None:
        encoding = content_encoding.strip().lower()
        self._bytes_max = bytes_max
        self._body = bytearray()
        self._inflater = None
        if encoding not in ("", "identity"):
            if encoding not in ENCODINGS:
                raise HttpBodyError(f"the answer is compressed with {encoding}, which we did not ask for")
            self._inflater = zlib.decompressobj(ENCODINGS[encoding])

    def add(self, chunk: bytes | bytearray) -> HttpBodyError | None:
        """Append a chunk as received. Return an error if the body cannot be used, also before it exceeds its limit."""
        if self._inflater is not None:
            try:
                chunk = self._inflater.decompress(chunk, self._bytes_max - len(self._body) + 1)
            except zlib.error as error:
                return HttpBodyError(f"the answer cannot be decompressed: {error}")
        if len(self._body) + len(chunk) > self._bytes_max:
            return HttpBodyError(f"the answer is longer than {self._bytes_max} bytes")
        self._body += chunk
        return None

    def finish(self) -> bytes:
        """Return the whole body. Raises HttpBodyError if its compressed form is cut off."""
        if self._inflater is not None and not self._inflater.eof and self._body:
            raise HttpBodyError("the answer cannot be decompressed: it is cut off")
        return bytes(self._body)
