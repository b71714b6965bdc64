"""Picture files become pixels: JPEG, PNG and HEIF, within bounds, upright, in sRGB."""
