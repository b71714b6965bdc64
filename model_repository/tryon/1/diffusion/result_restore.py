"""Puts original pixels back outside the changed region of a generated picture.

Generators redraw everything: the face drifts, the background softens. What the garment cannot have
touched comes from the photo.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from body.drawing import ONE
from body.frame import BodyFrame, face_mask, frame_of, hand_mask
from body.green_mask import find_green
from body.pose import BodyNetworks, BodyPose
from garment.worn import find_worn
from numpy.typing import NDArray
from PIL import Image
from tryon_engine import EngineResult
from tryon_errors import PoseError
from tryon_request import JobOptions

GROWN = 0.3
"""How far the new garment may reach beyond the old one, in half shoulder widths."""


def finished(
    person: Image.Image, made: Image.Image, networks: BodyNetworks | None, options: JobOptions
) -> EngineResult:
    """Return what an engine made of a person, restored where the job asks for it."""
    whole = restore(person, made, networks, options.seed) if options.restore else None
    return EngineResult(whole or made, restored=whole is not None)


def restore(
    person: Image.Image, generated: Image.Image, networks: BodyNetworks | None, seed: int
) -> Image.Image | None:
    """Return the generated picture with the original face, hands and background.

    Args:
        person: RGB.
        generated: RGB, generated from it; another size is resized.
        networks: To find the person.
        seed: Of OpenCV's random numbers.

    Returns:
        RGB in the size of `person`; None when nobody is found: then nothing can be told apart.
    """
    before = np.asarray(person)
    after = np.asarray(
        generated if generated.size == person.size else generated.resize(person.size)
    )
    region = changed_region(before, networks, seed)
    if region is None:
        return None
    share = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 2.0)
    share = np.where(region, share, 0)[..., None]  # outside nothing changes, not by one value
    mixed = before * (1 - share) + after * share
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def changed_region(
    picture: NDArray[Any], networks: BodyNetworks | None, seed: int
) -> NDArray[Any] | None:
    """Return a mask, bool [height, width]: the green one, or the garment with a margin."""
    green = find_green(picture)
    if green is not None:
        return cv2.dilate(green.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    pose = networks.pose(picture) if networks is not None else None
    if pose is None:
        return None
    try:
        frame = frame_of(pose)
    except PoseError:
        return None
    return _around_garment(picture, pose, frame, seed)


def _around_garment(
    picture: NDArray[Any], pose: BodyPose, frame: BodyFrame, seed: int
) -> NDArray[Any]:
    worn = find_worn(picture, pose, frame, seed)
    size = picture.shape[1::-1]
    wide = round(GROWN * frame.half) | 1
    arms = np.zeros(worn.mask.shape, np.uint8)
    for arm in frame.arms.round().astype(np.int32):
        cv2.polylines(arms, [arm], False, ONE, wide)  # new skin, or new sleeves
    grown = cv2.dilate(np.maximum(worn.mask, arms), np.ones((wide, wide), np.uint8)) > 0
    down = frame.coordinates(size)[1] / frame.lift
    head = worn.person & (worn.mask == 0) & (down < -0.62)
    keep = (face_mask(frame, size) > 0) | head
    keep |= (hand_mask(frame, size) > 0) & worn.person & (worn.mask == 0)
    garment: NDArray[Any] = grown & ~keep
    return garment
