"""A folder for results that never touches what is not ours.

    folder = OutputFolder("rnn-report")    refused where other people's files are in it, or it cannot be written
    folder.write({"index.html": data})     every file whole or not at all; what an earlier report left over is removed

A small hidden file, `.minigrad-report`, lists the files that are ours. Whatever else is in the folder belongs to
somebody: then nothing is written at all.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping

from minigrad.errors import MinigradError

__all__ = ["MARKER", "OutputError", "OutputFolder"]

MARKER = ".minigrad-report"
HEADING = "Files of a report by `python -m rnn`, which the next one may replace:"


class OutputError(MinigradError, OSError):
    """A folder that results cannot be written to, or should not."""


class OutputFolder:
    """A folder that can be written and holds nothing but an earlier report, made where there is none.

    Raises OutputError where it is otherwise.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._made = not os.path.lexists(path)
        try:
            os.makedirs(path, exist_ok=True)
            self._refuse_others()
            handle, temporary = tempfile.mkstemp(dir=path, prefix=".")
            os.close(handle)
            os.unlink(temporary)
        except OutputError:
            raise
        except FileExistsError:
            raise OutputError(f"cannot write to {path!r}: it is a file, no folder; name another with --out") from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot write to {path!r}: {reason}; name another folder with --out") from None

    def _refuse_others(self) -> None:
        ours = self._ours()
        others = sorted(name for name in os.listdir(self.path) if name not in ours and not name.startswith("."))
        if others:
            shown = ", ".join(others[:3]) + (f" and {len(others) - 3:,} more" if len(others) > 3 else "")
            raise OutputError(
                f"{self.path!r} holds files that are not of a report ({shown}); nothing was written:"
                " name another folder with --out"
            )

    def _ours(self) -> set[str]:
        try:
            with open(os.path.join(self.path, MARKER), encoding="utf-8") as file:
                heading, *names = file.read().splitlines() or [""]
        except FileNotFoundError:
            return {MARKER}
        # names only: a list that was tampered with must not lead out of the folder
        return {MARKER, *[n for n in names if n and os.path.basename(n) == n]} if heading == HEADING else {MARKER}

    def write(self, files: Mapping[str, bytes]) -> list[str]:
        """Write the files, each under a temporary name that is then changed; returns their paths."""
        self._refuse_others()
        before = self._ours()
        try:
            # while it is being written, old and new files alike are ours
            self._replace(MARKER, _listing(before | set(files)))
            for name, data in files.items():
                self._replace(name, data)
            for name in before - set(files) - {MARKER}:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.path, name))
            self._replace(MARKER, _listing(files))
        except OSError as error:
            raise OutputError(f"cannot write to {self.path!r}: {(error.strerror or str(error)).lower()}") from None
        return [os.path.join(self.path, name) for name in files]

    def discard(self) -> None:
        """Remove the folder again if it was made for a report that never came."""
        if self._made:
            with contextlib.suppress(OSError):
                os.rmdir(self.path)

    def _replace(self, name: str, data: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=self.path, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, os.path.join(self.path, name))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def _listing(names: Iterable[str]) -> bytes:
    return "\n".join([HEADING, *sorted(set(names) - {MARKER})]).encode() + b"\n"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
