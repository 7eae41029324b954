"""What scripts say: each marks its English with ``_("…")`` or ``count("…", "…", n)``, and the page that loads a script
carries those texts in the reader's language, as data.
"""

import io
import posixpath
import re
from collections.abc import Iterator
from typing import Any

from babel.messages.extract import extract_javascript

from app.portal.language import Language
from app.portal.static_parts import StaticParts

# How texts are marked, here and for whoever collects them for translators: function → which arguments are texts.
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "count": (1, 2)}
_VENDORED = "vendor/"
_IMPORTED = re.compile(rb"""(?:\bfrom|\bimport)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""")

Text = str | tuple[str, str]


class ScriptWords:
    """The texts of every script, and which scripts each brings along."""

    def __init__(self, parts: StaticParts) -> None:
        scripts = {path: part.content for path, part in parts.by_path.items() if path.endswith(".js")}
        self._texts = {path: list(_texts(path, content)) for path, content in scripts.items()}
        self._imports = {path: _imports(path, content) for path, content in scripts.items()}

    def said(self, scripts: tuple[str, ...], language: Language) -> dict[str, str | dict[str, str]]:
        """English → the text in the language, or its plural forms. Raises KeyError for a script that is not there."""
        texts: dict[str, str | dict[str, str]] = {}
        for path in self._with_imports(scripts):
            for text in self._texts[path]:
                if isinstance(text, tuple):
                    texts[text[0]] = language.forms(*text)
                else:
                    texts[text] = language.say(text)
        return texts

    def _with_imports(self, scripts: tuple[str, ...]) -> list[str]:
        found: dict[str, None] = {}
        waiting = list(scripts)
        while waiting:
            path = waiting.pop()
            if path not in found:
                found[path] = None
                waiting += self._imports[path]
        return sorted(found)


def texts_in(content: bytes) -> Iterator[Text]:
    """The texts that a script marks, a plural's as (one, many)."""
    found: Iterator[Any] = extract_javascript(io.BytesIO(content), KEYWORDS, (), {"parse_template_string": True})
    for _, function, text, _ in found:
        said = [part for part in ([text] if isinstance(text, str) else text or ()) if part]
        if said:  # nothing where what is said is not a text but a name for one
            yield (said[0], said[1]) if function == "count" else said[0]


def _texts(path: str, content: bytes) -> Iterator[Text]:
    if not path.startswith(_VENDORED):
        yield from texts_in(content)


def _imports(path: str, content: bytes) -> list[str]:
    folder = posixpath.dirname(path)
    return [posixpath.normpath(posixpath.join(folder, name.decode("ascii"))) for name in _IMPORTED.findall(content)]
