"""Whether the portal's cookie may count: a browser sends it whoever made it ask (Fetch Metadata §2, RFC 6454).

SameSite=Strict keeps it from other sites already, but not from other hosts of ours: those are the same site.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

# The browser's own word, which no page can set. "none": typed, or from a bookmark.
_OWN: Final = (b"same-origin", b"none")


def asked_by_own_page(headers: Iterable[tuple[bytes, bytes]], origins: AbstractSet[bytes]) -> bool:
    """Whether a page of ``origins`` made the browser ask, or the user did. ASGI headers, their names in lower case.

    It must be said, once: by an Origin that is one of them, or, where a browser sends none, by Sec-Fetch-Site. What
    says neither may come from anywhere.
    """
    said: dict[bytes, list[bytes]] = {b"origin": [], b"sec-fetch-site": []}
    for name, value in headers:
        if name in said:
            said[name].append(value)
    origin, site = said[b"origin"], said[b"sec-fetch-site"]
    if origin:
        return len(origin) == 1 and origin[0] in origins
    return len(site) == 1 and site[0] in _OWN
