"""Text made smaller on its way out (RFC 9110 §8.4.1): metadata and search answers shrink to a tenth of their size.

What an answer holds is of one patient's consent and nothing of the request is repeated in it, so that its length tells
an onlooker no more than without (docs/adr/0015). Refusals are never compressed: all of them are the same bytes.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator

# What fits one packet gains nothing.
LEAST_BYTES = 1_400
# More than this is compressed beside the event loop, a piece at a time.
_AT_ONCE_BYTES = 64 * 1024
_PIECE_BYTES = 512 * 1024
_LEVEL = 4
_WINDOW_BITS = {"gzip": 31, "deflate": 15}  # deflate is the zlib format (RFC 9110 §8.4.1.2)


def is_text(content_type: bytes) -> bool:
    """Whether a body of this type is worth it: data sets as JSON or XML. Pixels are dense already, or too large."""
    return b"json" in content_type or b"xml" in content_type


async def compressed(coding: str, body: bytes) -> AsyncIterator[bytes]:
    """The body in the content coding, in pieces."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS[coding])
    if len(body) <= _AT_ONCE_BYTES:
        yield compressor.compress(body) + compressor.flush()
        return
    view = memoryview(body)
    for at in range(0, len(view), _PIECE_BYTES):
        piece = await asyncio.to_thread(compressor.compress, view[at : at + _PIECE_BYTES])
        if piece:
            yield piece
    yield compressor.flush()
