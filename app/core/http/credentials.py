"""Which credentials a request carries: one bearer token (RFC 6750 §2.1), or the portal's session cookie where no token
is given.
"""

from collections.abc import Iterable

from app.core.http.problem import Problem, problem

# __Host-: the browser sends it over a secure connection to this host only, and no other page can set it.
SESSION_COOKIE = "__Host-consentry"
_TOKEN_LIMIT = 512


def token_of(headers: Iterable[tuple[bytes, bytes]], *, cookie: bool = False) -> str | Problem:
    """The token among ASGI headers (names in lower case).

    Two Authorization headers are ``ambiguous-credentials``; none, or one that is no bearer token, is
    ``unauthenticated``. With ``cookie`` the session cookie counts too, but never beside an Authorization header.
    """
    authorization: list[bytes] = []
    cookies: list[bytes] = []
    for name, value in headers:
        if name == b"authorization":
            authorization.append(value)
        elif cookie and name == b"cookie":
            cookies.append(value)
    if len(authorization) > 1:
        return problem("ambiguous-credentials")
    if authorization:
        scheme, _, token = authorization[0].partition(b" ")
        return _token(token) if scheme.lower() == b"bearer" else problem("unauthenticated")
    found = [v for line in cookies for v in _values(line)]
    if len(found) > 1:
        return problem("ambiguous-credentials")
    return _token(found[0]) if found else problem("unauthenticated")


def _values(line: bytes) -> list[bytes]:
    pairs = (pair.strip().partition(b"=") for pair in line.split(b";"))
    return [value for name, _, value in pairs if name == SESSION_COOKIE.encode()]


def _token(token: bytes) -> str | Problem:
    # Our tokens are URL-safe base64; anything else cannot be one and is not looked up.
    if not 0 < len(token) <= _TOKEN_LIMIT or not token.replace(b"-", b"").replace(b"_", b"").isalnum():
        return problem("unauthenticated")
    return token.decode("ascii")
