"""Why a picture cannot be used, one code for each reason. Pure Python."""

from __future__ import annotations


class ImageError(ValueError):
    """A picture that cannot be used; the text is `code: reason` and may go to its sender.

    Attributes:
        code: image_empty, image_invalid, image_truncated or image_too_large.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


def damaged() -> ImageError:
    """Return the error of a file of which something is missing."""
    return ImageError("image_truncated", "the file ends early or is damaged")


def too_large(max_pixels: int) -> ImageError:
    """Return the error of a picture with more pixels than are allowed."""
    return ImageError("image_too_large", f"more than {max_pixels} pixels")


def too_many_pieces() -> ImageError:
    """Return the error of a file that takes long to walk through, whatever it shows."""
    return ImageError("image_invalid", "the file consists of too many pieces")
