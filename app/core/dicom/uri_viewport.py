"""The size and the part of a picture, as WADO-URI says it (PS3.18 §9.5.1.2.4, §9.5.1.2.5), in the terms of WADO-RS."""

from dataclasses import dataclass
from typing import Final

Region = tuple[float, float, float, float]

EVERYTHING: Final[Region] = (0.0, 0.0, 1.0, 1.0)
# Pixels on a side: what a viewport of WADO-RS may say here.
MOST: Final = 99_999


@dataclass(frozen=True, slots=True)
class UriViewport:
    """``rows``, ``columns``: the most of each, None for no bound. ``region``: left, top, right, bottom, from 0 to 1."""

    rows: int | None
    columns: int | None
    region: Region

    def of_image(self, rows: int, columns: int) -> str:
        """The WADO-RS viewport that says the same of an image of so many rows and columns (§8.3.5.1.3).

        The proportions stay; at least one pixel is shown.
        """
        left, right = _span(self.region[0], self.region[2], columns)
        top, bottom = _span(self.region[1], self.region[3], rows)
        width, height = right - left, bottom - top
        scales = [most / size for most, size in ((self.columns, width), (self.rows, height)) if most is not None]
        # One bound says nothing of the other side: of a thin strip that would become a picture of any size
        scale = min(min(scales, default=1.0), MOST / width, MOST / height)
        size = f"{max(1, round(width * scale))},{max(1, round(height * scale))}"
        is_whole = (left, top, width, height) == (0, 0, columns, rows)
        return size if is_whole else f"{size},{left},{top},{width},{height}"


def _span(begin: float, end: float, size: int) -> tuple[int, int]:
    """The pixels from one edge to the other, at least one."""
    first = min(round(begin * size), size - 1)
    return first, max(first + 1, round(end * size))
