"""From a binary mask and its photo to a cut-out with a soft edge and no halo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.matte import MATTE_REACH
from empaste_aug.offline.alpha_colour import foreground_colours
from empaste_aug.offline.alpha_mask import (
    UNKNOWN,
    band_width,
    clean_mask,
    make_trimap,
    settle,
)
from empaste_aug.offline.alpha_matting import matting
from empaste_aug.offline.crop import MARGIN, margin_box
from empaste_aug.types import ALPHA_THRESHOLD, ArgumentError

METHODS = ("matting", "none")
"""How the rim's alpha is found: by closed-form matting, or 255 on the mask and 0 elsewhere."""


@dataclass(frozen=True, kw_only=True)
class AlphaConfig:
    """Every constant of the way from a mask to a cut-out's alpha and colours.

    Attributes:
        method: one of `METHODS`.
        min_component: connected components of the mask below this share of the largest one's area
            are dropped, in [0, 1]; 1 keeps the largest alone, 0 keeps all.
        max_hole: holes up to this share of the mask's area are filled, in [0, 1]; 0 fills none.
        band: how far on either side of the mask's edge alpha may change, as a share of the square
            root of the mask's area, >= 0; at least 1 pixel.
        max_band: the most that `band` may come to, in pixels; 0 leaves the mask as it is.
        smoothness: the variance of colour, on a scale of 0 to 1, below which 3 x 3 pixels count as
            flat for the matting, > 0. Larger values ignore faint edges.
        pull: the weight of (alpha - mask)**2 at each pixel of the rim against the matting's
            Laplacian, >= 0. It decides where colour says nothing.
        decontaminate: replace the colours of the rim, and of the pixels beside the object that a
            feathered paste shows, by the object's own.
    """

    method: str = METHODS[0]
    min_component: float = 1.0
    max_hole: float = 0.01
    band: float = 0.04
    max_band: int = 4
    smoothness: float = 3e-5
    pull: float = 0.02
    decontaminate: bool = True

    def __post_init__(self) -> None:
        """Raise ArgumentError for a constant out of its range."""
        inf = float("inf")
        checks = {
            "method": (self.method in METHODS, f"one of {', '.join(METHODS)}"),
            "min_component": (0 <= self.min_component <= 1, "in [0, 1]"),
            "max_hole": (0 <= self.max_hole <= 1, "in [0, 1]"),
            "band": (0 <= self.band < inf, "finite and not negative"),
            "max_band": (0 <= self.max_band < inf, "finite and not negative"),
            "smoothness": (0 < self.smoothness < inf, "finite and above 0"),
            "pull": (0 <= self.pull < inf, "finite and not negative"),
        }
        for name, (fits, wanted) in checks.items():
            if not fits:
                raise ArgumentError(f"{name}: must be {wanted}, is {getattr(self, name)!r}")


def cut_out(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    config: AlphaConfig,
    *,
    margin: int = MARGIN,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[int, int, int, int]]:
    """An object's crop with a soft edge and its own colours round it, its alpha, the crop's box.

    The mask is cleaned up, then matted within a narrow band round its edge: see `AlphaConfig`.
    Alpha is 255 on the band's inner side and 0 on its outer side. ``alpha >= 128`` is the object's
    mask from then on; it is never empty, and a thin part keeps at least its middle. The same input
    gives the same bytes.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, not empty.
        config: how.
        margin: pixels to keep round the tight box of ``alpha >= 128``, clipped at the photo's
            border. Alpha beyond is cut off.

    Returns:
        rgb (h, w, 3), alpha (h, w), and (x0, y0, x1, y1) in the photo, half-open.

    Raises:
        ArgumentError: the mask is empty, or `image` and `mask` differ in size or have a wrong type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ArgumentError(f"image: (H, W, 3) uint8 is wanted, not {image.shape} {image.dtype}")
    if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
        raise ArgumentError(
            f"mask: bool of shape {image.shape[:2]} is wanted, not {mask.dtype} of {mask.shape}"
        )
    cleaned = clean_mask(mask, min_component=config.min_component, max_hole=config.max_hole)
    width = band_width(int(np.count_nonzero(cleaned)), share=config.band, limit=config.max_band)
    # So much photo round the mask that more of it would change nothing in the crop.
    reach = 2 * width + MATTE_REACH + margin + 2
    x0, y0, x1, y1 = margin_box(cleaned, reach)
    window = np.ascontiguousarray(image[y0:y1, x0:x1])
    inside = np.ascontiguousarray(cleaned[y0:y1, x0:x1])
    trimap = make_trimap(inside, width)
    alpha = inside.astype(np.float64)
    if config.method == "matting":
        alpha = matting(
            window / 255, alpha, trimap == UNKNOWN, smoothness=config.smoothness, pull=config.pull
        )
    opacity = np.rint(alpha * 255).astype(np.uint8)
    solid = opacity >= ALPHA_THRESHOLD
    settled = settle(solid, trimap, max_hole=config.max_hole)
    opacity[solid & ~settled] = 0
    opacity[settled & ~solid] = ALPHA_THRESHOLD
    if config.decontaminate:
        window = foreground_colours(window, opacity / 255, trimap, reach=reach)
    left, top, right, bottom = margin_box(settled, margin)
    inner = slice(top, bottom), slice(left, right)
    box = (x0 + left, y0 + top, x0 + right, y0 + bottom)
    return np.ascontiguousarray(window[inner]), np.ascontiguousarray(opacity[inner]), box
