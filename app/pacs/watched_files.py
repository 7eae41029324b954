"""Whether files have changed since they were last looked at."""

from collections.abc import Sequence
from pathlib import Path

# Seconds for which nobody looks again.
LOOK_AGAIN_S = 1.0

_Stamp = tuple[int, int, int, int] | None


class FileStamps:
    """The files as they were at the last look: another file under the name counts, so a swapped link does."""

    __slots__ = ("_paths", "_seen")

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._seen: tuple[_Stamp, ...] | None = self._now()

    def changed(self) -> bool:
        """Whether any file is not what it was at the last look. This is the next last look."""
        before, self._seen = self._seen, self._now()
        return self._seen != before

    def forget(self) -> None:
        """The next look finds a change: what was read did not serve."""
        self._seen = None

    def _now(self) -> tuple[_Stamp, ...]:
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
