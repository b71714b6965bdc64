"""What families of face networks want of a picture and say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Color = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class PixelFormat:
    """What a network wants of a picture: (x - mean) / std in this order of channels.

    Attributes:
        color: Order of the channels.
        mean: Subtracted from 0..255.
        std: Divides the rest.
    """

    color: Color
    mean: float
    std: float

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """UINT8 [n, h, w, 3], RGB, to what the original network takes: FP32 [n, 3, h, w]."""
        import numpy as np  # late, as everything that `make run` imports only to look

        ordered = images[..., ::-1] if self.color == "bgr" else images
        values = (ordered.astype(np.float32) - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Family:
    """Detectors that are read alike.

    Attributes:
        strides: Pixels between the places of each grid.
        anchors: Predictions at a place.
        form: What the networks want of a picture.
        score_threshold: Of a face, as the family's own code has it.
        nms_iou: Overlap of two faces, likewise.
        parts: Numbers per prediction in each group of outputs.
    """

    strides: tuple[int, ...]
    anchors: int
    form: PixelFormat
    score_threshold: float
    nms_iou: float
    parts: tuple[int, ...]


FAMILIES = {
    # Star-Clouds/CenterFace: one grid; heatmap, log sizes, offsets, landmarks.
    "centerface": Family((4,), 1, PixelFormat("rgb", 0.0, 1.0), 0.5, 0.3, (1, 2, 2, 10)),
    # InsightFace, det_10g.onnx and its smaller sisters: scores, distances, key points.
    "scrfd": Family((8, 16, 32), 2, PixelFormat("rgb", 127.5, 128.0), 0.5, 0.4, (1, 4, 10)),
}
MULTIPLE = 32
"""Both families halve a picture five times."""
CROP = 112
"""Side of an aligned face in pixels, of all networks of the ArcFace family."""
DIMENSIONS = 512
