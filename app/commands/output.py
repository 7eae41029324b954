"""What the commands print: tables for people, one JSON document for programs, errors on standard error; and the exit
status.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.core.identifiers import UnixTime
from app.core.signing.words import LAST_DATE, moment

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]

# Into a pipe or a file nothing is folded to the width of a terminal that is not there.
_PIPE_WIDTH = 240
_console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
_errors = Console(stderr=True, soft_wrap=True)
_TIMES = frozenset({"at", "ready_at", "valid_from", "valid_until"})


class CommandError(Exception):
    """A command failed: the text is for the person who called it. Exit status 1."""


def emit(document: Any, as_json: bool, lines: Iterable[str] = ()) -> None:  # noqa: ANN401 - any JSON
    """Print ``document`` as JSON, or ``lines`` for people."""
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return
    for line in lines:
        _console.print(line, markup=False, highlight=False, soft_wrap=True)


def emit_table(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool, empty: str = "none") -> None:
    """Print rows as a table of ``columns``, or all of them as JSON."""
    if as_json:
        sys.stdout.write(json.dumps(list(rows), indent=2, ensure_ascii=False) + "\n")
        return
    if not rows:
        _console.print(empty, markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_text(row.get(column), is_time=column in _TIMES) for column in columns))
    _console.print(table)


def say(text: str) -> None:
    """A line of progress, on standard error, so that standard output stays what was asked for."""
    _errors.print(text, markup=False, highlight=False)


def progress_line(text: str) -> None:
    """How far long work has come, on one line of standard error that is written over; silent where nobody watches."""
    if _errors.is_terminal:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _text(value: object, *, is_time: bool = False) -> str:
    if value is None:
        return "-"
    if is_time and isinstance(value, int):
        if value > LAST_DATE:
            return moment(UnixTime(value))
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if value else "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
