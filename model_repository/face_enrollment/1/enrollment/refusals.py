"""Which pictures make an enrollment fail. Pure Python."""

from __future__ import annotations

from collections.abc import Sequence

from faces.search import NO_FACE, SearchResult

_CODES = {NO_FACE: "face_not_found"}


class RefusedError(ValueError):
    """An input that cannot be used; the text is `code: reason`.

    Attributes:
        code: Two words or more.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


def refuse_pictures(results: Sequence[SearchResult], *, strict: bool, needed: bool) -> None:
    """Refuses pictures that cannot make a vector.

    Args:
        results: What each picture holds.
        strict: Whether one that is no picture is one too many.
        needed: Whether a vector is wanted, and so a picture that counts.

    Raises:
        RefusedError: `face_not_found`, another reason of `faces.search` or a code of
            `pictures.decoding`, and which picture it is about, as `index=<n>`.
    """
    reasons = [result.reason for result in results]
    for place, reason in enumerate(reasons):
        if strict and reason is not None and not _is_about_faces(reason):
            raise RefusedError(reason, f"index={place}")
    if needed and None not in reasons and reasons[0] is not None:
        raise RefusedError(_CODES.get(reasons[0], reasons[0]), "index=0")


def _is_about_faces(reason: str) -> bool:
    """Whether it is about a face, and not a file that is no picture."""
    return reason == NO_FACE or reason.startswith("face_")
