"""Proof that a multipart body without length or chunking is whole: its closing boundary (RFC 2046 §5.1.1)."""

# Line ends and padding that may follow the closing delimiter. An epilogue with text in it is not taken as an end.
_TRAILING_BYTES = 64


class ClosingBoundary:
    """Watches the last bytes of a body go by and says whether they end it."""

    __slots__ = ("_delimiter", "_keep", "_tail")

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary + b"--"
        self._keep = len(self._delimiter) + _TRAILING_BYTES
        self._tail = b"\r\n"  # a body may begin with its closing delimiter

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if len(data) >= self._keep:
            self._tail = data[-self._keep :]
        else:
            self._tail = (self._tail + data)[-self._keep :]

    @property
    def seen(self) -> bool:
        """Whether what has gone by so far ends with the closing delimiter."""
        return self._tail.rstrip(b" \t\r\n").endswith(self._delimiter)
