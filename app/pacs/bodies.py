"""Small bodies and small readers of bodies."""

from app.pacs.origin import OriginBody, OriginInvalidError


class BytesBody:
    """A body that is in memory already."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes = b"") -> None:
        self._data = data

    async def read(self) -> bytes:
        data, self._data = self._data, b""
        return data

    async def aclose(self) -> None:
        self._data = b""


class PutBackBody:
    """A body whose first bytes were looked at."""

    __slots__ = ("_first", "_rest")

    def __init__(self, first: bytes, rest: OriginBody) -> None:
        self._first = first
        self._rest = rest

    async def read(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        return await self._rest.read()

    async def aclose(self) -> None:
        self._first = b""
        await self._rest.aclose()


async def read_all(body: OriginBody, limit_bytes: int) -> bytes:
    """The whole body. Raises OriginInvalidError past the limit, and what ``read`` raises; the body is closed either
    way.
    """
    try:
        parts = []
        size = 0
        while data := await body.read():
            size += len(data)
            if size > limit_bytes:
                raise OriginInvalidError("the archive's answer is too large")
            parts.append(data)
        return b"".join(parts)
    finally:
        await body.aclose()


async def discard(body: OriginBody, limit_bytes: int) -> None:
    """Read a body that nobody wants to its end, so that its connection can be used again; give up past the limit."""
    try:
        size = 0
        while data := await body.read():
            size += len(data)
            if size > limit_bytes:
                return
    finally:
        await body.aclose()
