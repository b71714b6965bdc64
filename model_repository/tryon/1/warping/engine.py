"""The engine `warp`: bends the garment's photo over the person's pose, on a CPU.

It moves pixels and invents none: tops, seen from the front. Bare arms do not appear where an old
sleeve was: below a shorter new one the old one stays.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from body.drawing import ONE
from body.frame import BodyFrame, face_mask, frame_of, hand_mask, throat_mask
from body.green_mask import find_green
from body.pose import BodyPose
from garment.flat import cut_flat, flat_parts
from garment.parts import GarmentParts, sleeve_target, torso_target
from garment.worn import WornGarment, find_worn, hem_of, skin_mask, worn_parts
from numpy.typing import NDArray
from PIL import Image
from tryon_engine import EngineJob, EngineResult, TryonEngine
from tryon_errors import GarmentError, PoseError
from tryon_images import flatten, floored_size, resized

from warping.arm_rest import below_sleeves
from warping.blend import blend, shading
from warping.hidden_picture import uncovered
from warping.masked_body import body_behind, hem_behind, joined, outline_of
from warping.thin_plate import spline_maps

STAGES = 5
BARE_HAND = 0.25
"""Share of the pixels where hands are that must be skin in hands without gloves."""


class WarpEngine(TryonEngine):
    """See TryonEngine; there is neither a GPU nor a cache."""

    name = "warp"
    model = "mediapipe-pose + thin-plate-spline warp"
    photorealistic = False
    unused = ("steps", "cfg", "prompt", "mode", "restore")

    def load(self) -> None:
        """See TryonEngine."""
        cv2.setNumThreads(self._settings.threads)
        super().load()

    def warm_up(self) -> None:
        """See TryonEngine."""
        blank = np.zeros((256, 192, 3), np.uint8)
        self._pose(blank)

    def generate(self, job: EngineJob) -> EngineResult:
        """See TryonEngine.

        Raises:
            PoseError: Nobody, or not from the front with shoulders and hips.
            GarmentError: No garment can be cut out.
        """
        size = floored_size(job.person.size)
        person = np.asarray(resized(job.person, size))
        pose = self._pose(person)
        if pose is None:
            raise PoseError("nobody is in the person picture")
        frame_of(pose)
        job.watch.engine_step(1, STAGES)
        photo, parts = self._garment(job)
        job.watch.engine_step(2, STAGES)
        green = find_green(person)
        if green is None:
            dressed = self._over_clothes(job, person, pose, photo, parts)
        else:
            dressed = self._behind_mask(job, person, pose, photo, parts, green)
        job.watch.engine_step(5, STAGES)
        return EngineResult(Image.fromarray(dressed), restored=True)

    def _over_clothes(
        self,
        job: EngineJob,
        person: NDArray[Any],
        pose: BodyPose,
        photo: NDArray[Any],
        parts: GarmentParts,
    ) -> NDArray[Any]:
        """Return the garment in the place of what is worn, uint8 RGB [height, width, 3]."""
        size, frame = person.shape[1::-1], frame_of(pose)
        worn = find_worn(person, pose, frame, job.options.seed)
        job.watch.engine_step(3, STAGES)
        target = torso_target(frame, parts, worn.person, hem_of(worn.mask, frame))
        garment, alpha = _warped(photo, parts, frame, target, size)
        job.watch.engine_step(4, STAGES)
        cover = cv2.dilate(worn.mask, np.ones((5, 5), np.uint8)) > 0
        cover &= ~below_sleeves(frame, parts, size)
        shade = shading(person, worn.mask > 0, frame.half)
        stay = _staying(frame, worn, size)
        return blend(person, garment, alpha, cover, stay, shade, 0.06 * frame.half)[0]

    def _behind_mask(
        self,
        job: EngineJob,
        person: NDArray[Any],
        pose: BodyPose,
        photo: NDArray[Any],
        parts: GarmentParts,
        green: NDArray[Any],
    ) -> NDArray[Any]:
        """Return the garment on the body that the mask hides, uint8 RGB [height, width, 3].

        Raises:
            PoseError: The mask hides more than can be told from what is left.
        """
        size = person.shape[1::-1]
        green = cv2.dilate(green.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        frame = frame_of(pose)
        seen = (pose.mask > 0.5) & ~green
        target = torso_target(frame, parts, seen | green, hem_behind(frame, green))
        body = body_behind(frame, pose, parts, target, green)
        job.watch.engine_step(3, STAGES)
        garment, alpha = _warped(photo, parts, frame, target, size)
        job.watch.engine_step(4, STAGES)
        throat = throat_mask(frame, size)
        outline = (body.torso | body.sleeves | (alpha > 0.5)) & body.limit
        outline = joined(outline_of(outline, frame), seen, green, frame) & ~throat
        alpha = np.where(outline, alpha, 0).astype(np.float32)
        below = uncovered(person, green, seen, skin_mask(person, frame), body, outline, frame)
        shade = np.ones(alpha.shape, np.float32)
        dressed = blend(below, garment, alpha, outline, throat, shade, 0.06 * frame.half)[0]
        return np.where(green[..., None], dressed, person)

    def _pose(self, picture: NDArray[Any]) -> BodyPose | None:
        assert self._networks is not None  # noqa: S101 (load comes first)
        return self._networks.pose(picture)

    def _garment(self, job: EngineJob) -> tuple[NDArray[Any], GarmentParts]:
        """Return the garment's photo and its parts.

        Raises:
            GarmentError: No garment can be cut out.
        """
        photo = np.asarray(flatten(job.garment))
        kind, seed = job.options.garment_photo_type, job.options.seed
        pose = None if kind == "flat-lay" else self._pose(photo)
        if pose is not None:
            try:
                frame = frame_of(pose)
                return photo, worn_parts(find_worn(photo, pose, frame, seed).mask, frame)
            except PoseError as error:
                if kind == "model":
                    raise GarmentError(f"in the garment photo, {error.words}") from None
        elif kind == "model":
            raise GarmentError("nobody wears the garment in its photo")
        alpha = np.asarray(job.garment)[..., 3] if job.garment.mode == "RGBA" else None
        return photo, flat_parts(cut_flat(photo, alpha, seed))


def _warped(
    photo: NDArray[Any],
    parts: GarmentParts,
    frame: BodyFrame,
    torso: NDArray[Any],
    size: tuple[int, ...],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the garment on the body: float32 RGB and how much of it is there, [height, width]."""
    pieces = [(parts.mask, torso, parts.torso)]
    for side, sleeve in enumerate(parts.sleeves):
        if sleeve is not None:
            source = np.vstack([sleeve.outer, sleeve.inner])
            pieces.append((sleeve.mask, sleeve_target(frame, sleeve, side), source))
    colour = np.zeros((*size[::-1], 3), np.float32)
    alpha = np.zeros(size[::-1], np.float32)
    for mask, target, source in pieces:
        x, y = spline_maps(target, source, size)
        there = cv2.remap(mask.astype(np.float32), x, y, cv2.INTER_LINEAR)
        there = cv2.GaussianBlur(there, (0, 0), 0.8) * _around(target, frame, size)
        seen = cv2.remap(photo, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colour = colour * (1 - there[..., None]) + seen * there[..., None]
        alpha = np.maximum(alpha, there)
    return colour / np.maximum(alpha, 1e-3)[..., None], alpha


def _around(target: NDArray[Any], frame: BodyFrame, size: tuple[int, ...]) -> NDArray[Any]:
    """float32 [height, width], 1 near the points: further away a spline goes anywhere."""
    near = np.zeros(size[::-1], np.uint8)
    cv2.fillConvexPoly(near, cv2.convexHull(target.round().astype(np.int32)), ONE)
    wide = round(0.3 * frame.half) | 1
    return cv2.dilate(near, np.ones((wide, wide), np.uint8)).astype(np.float32)


def _staying(frame: BodyFrame, worn: WornGarment, size: tuple[int, ...]) -> NDArray[Any]:
    """Return a mask, bool [height, width]: face, hair, neck and hands."""
    across, down = frame.coordinates(size)
    down = down / frame.lift  # half shoulder widths, as across
    rest = worn.person & (worn.mask == 0)
    head = rest & ((down < -0.62) | throat_mask(frame, size)) & (np.abs(across) < 1.2)
    hair = rest & ~worn.skin & (down < 0.75) & (np.abs(across) < 1.0)
    hands = stay_of_hands(hand_mask(frame, size) > 0, rest, worn.skin)
    staying: NDArray[Any] = head | hair | hands | (face_mask(frame, size) > 0)
    return staying


def stay_of_hands(covered: NDArray[Any], rest: NDArray[Any], skin: NDArray[Any]) -> NDArray[Any]:
    """Return the hands without what is behind them, bool [height, width]; gloves with it.

    Args:
        covered: bool, around the hands.
        rest: bool, the person without the old garment.
        skin: bool.
    """
    hands: NDArray[Any] = covered & rest
    bare = hands & skin
    if bare.sum() < BARE_HAND * hands.sum():
        return hands
    grown = cv2.dilate(bare.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    near_skin: NDArray[Any] = hands & grown
    return near_skin
