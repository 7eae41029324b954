"""Collects what the portal says into its catalogues: ``python -m tools.messages`` (``make messages``).

Each room of the portal (app/portal itself, then patient/, physician/ …) has a catalogue for each language but English:
``languages/<tag>.po``. New texts come in empty, for a translator; those that nothing says any more go. A test fails
while one is empty, left over, or differs in what is to be filled in.
"""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_python
from babel.messages.pofile import write_po
from jinja2.ext import babel_extract

from app.portal.language import LOCALES, SOURCE, catalogue
from app.portal.script_words import texts_in
from app.portal.sections import SECTIONS
from app.portal.site import HERE
from app.portal.templating import EXTRACTION

ROOMS = (HERE, *(one.folder for one in SECTIONS))
TAGS = sorted(LOCALES.keys() - {SOURCE})
# In Python: the navigation's and problems' marks, and what app.portal.language.Language is asked to say.
_KEYWORDS = {"N_": None, "say": None, "count": (1, 2)}
_LINE = 110

Text = str | tuple[str, str]


def said_in(room: Path) -> Catalog:
    """Every text of the room, with the files that say it. No line numbers: they would change with everything."""
    found = Catalog(fuzzy=False)
    for path in _files(room):
        for text in _texts(path):
            found.add(text, locations=[(path.relative_to(HERE).as_posix(), None)])  # type: ignore[list-item]
    return found


def updated(room: Path, tag: str) -> Catalog:
    """The room's catalogue in the language, as it is to be."""
    path = catalogue_path(room, tag)
    before = catalogue(path, tag) if path.exists() else Catalog(locale=tag)
    after = Catalog(locale=tag, fuzzy=False)
    for message in said_in(room):
        if message.id:
            known = before.get(message.id)
            translated = known.string if known is not None else "" if isinstance(message.id, str) else ("", "")
            after.add(message.id, translated, locations=message.locations)
    return after


def catalogue_path(room: Path, tag: str) -> Path:
    return room / "languages" / f"{tag}.po"


def _files(room: Path) -> Iterator[Path]:
    """The room's own files, not those of the rooms within, nor what others wrote."""
    others = [other for other in ROOMS if other != room and room in other.parents]
    for path in sorted(room.rglob("*")):
        within = any(other in path.parents for other in others)
        if path.suffix in {".py", ".html", ".js"} and not within and "vendor" not in path.parts:
            yield path


def _texts(path: Path) -> Iterator[Text]:
    content = path.read_bytes()
    if path.suffix == ".js":
        yield from texts_in(content)
    elif path.suffix == ".html":
        yield from _told(babel_extract(io.BytesIO(content), ("_", "gettext", "ngettext"), (), EXTRACTION))
    else:
        yield from _told(extract_python(io.BytesIO(content), _KEYWORDS, (), {}))


def _told(found: Iterable[Any]) -> Iterator[Text]:
    """What Babel found: a function's name, and its one text or all of its arguments, None for what is no text."""
    for _, function, text, _ in found:
        texts = [part for part in ([text] if isinstance(text, str) else text or ()) if part]
        if function in {"ngettext", "count"} and len(texts) > 1:
            yield (texts[0], texts[1])
        elif texts:
            yield texts[0]


def main() -> None:
    for room in ROOMS:
        for tag in TAGS:
            path = catalogue_path(room, tag)
            path.parent.mkdir(exist_ok=True)
            after = updated(room, tag)
            with path.open("wb") as file:
                file.write(_header(after))
                write_po(file, after, width=_LINE, omit_header=True, sort_by_file=True)
            empty = sum(1 for message in after if message.id and not all(_forms(message.string)))
            print(f"{path.relative_to(HERE.parent.parent)}: {len(after)} texts, {empty} to be translated")


def _header(after: Catalog) -> bytes:
    """What translators' programs read, without the dates and names, which would differ each time."""
    kept = ("Language", "Plural-Forms", "MIME-Version", "Content-Type", "Content-Transfer-Encoding")
    lines = [f'"{name}: {value}\\n"' for name, value in after.mime_headers if name in kept]
    return "\n".join(['msgid ""', 'msgstr ""', *lines, "", ""]).encode()


def _forms(string: object) -> tuple[str, ...]:
    return (string,) if isinstance(string, str) else tuple(string)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
