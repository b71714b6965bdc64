"""TensorRT plans: which one a model's configuration wants, and whether the one at hand is it.

`python -m export plans` builds them, the gateway loads them; both ask here.
"""
