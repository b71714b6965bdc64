"""The engine `warp`, which moves a garment's pixels."""
