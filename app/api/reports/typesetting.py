"""Sets a report as PDF in a process of its own, with bounds on its memory and time: a long table takes neither the
event loop nor what others need. Typst shapes every script; the fonts come with the project, so that a name is readable
wherever the report is opened.
"""

import asyncio
import contextlib
import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import Response

_MEMORY_BYTES: Final = 3 * 1024**3 // 2
_TIME_S: Final = 60.0
_PROJECT: Final = Path(__file__).resolve().parents[3]
_AT_ONCE: Final = 2
_FONTS: Final = (
    ("fontpkg_noto_sans", "files"),
    ("fontpkg_noto_sans_arabic", "files"),
    ("pylopdf_fonts_he", ""),
    ("noto_cjk_sans_otc", ""),
)


class TypesettingError(Exception):
    """The report could not be set, or took too long. Its text quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be read. ``widths``: one for each column, as a share of the page's width; 0: as wide as its text."""

    title: str
    author: str
    language: str
    lines: Sequence[str]
    head: Sequence[str]
    widths: Sequence[int]
    rows: Sequence[Sequence[str]]


class Typesetter:
    """Few at a time; whoever asks meanwhile waits."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def pdf(self, report: Report) -> bytes:
        """The report as PDF. Raises TypesettingError."""
        said = await asyncio.to_thread(lambda: json.dumps(asdict(report)).encode())
        async with self._turns:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__,
                str(_MEMORY_BYTES),
                cwd=_PROJECT,
                env={},  # none of the gateway's secrets
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # it may quote the report
            )
            try:
                async with asyncio.timeout(_TIME_S):
                    made, _ = await process.communicate(said)
            except TimeoutError:
                raise TypesettingError("the report took too long") from None
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        if process.returncode != 0 or not made.startswith(b"%PDF-"):
            raise TypesettingError("the report could not be set")
        return made


def document(made: bytes, name: str) -> Response:
    """The answer that a browser offers to keep under that name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Security-Policy": "default-src 'none'"}
    return Response(made, media_type="application/pdf", headers=headers)


def _main() -> None:
    """In the process: the report as JSON from standard input, the PDF to standard output."""
    if sys.platform == "linux":  # elsewhere the system does not hold a process to it
        resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
    import typst  # noqa: PLC0415 - large, and wanted in this process alone

    said = sys.stdin.buffer.read().decode()
    made = typst.compile(
        (files("app.api.reports") / "report.typ").read_bytes(),
        font_paths=typst.Fonts(
            include_system_fonts=False, font_paths=[str(files(package) / folder) for package, folder in _FONTS]
        ),
        format="pdf",
        pdf_standards="ua-1",  # PDF/UA: a screen reader finds the table's heads and cells
        sys_inputs={"report": said},
    )
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    _main()
