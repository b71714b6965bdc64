"""What the Python-based backends share: strictness, auto-completion, batching.

Triton puts a backend's own folder on `sys.path`; this package is linked into each of them.
Nothing here imports Triton except `triton_model`, so the rules are tested as plain functions.
"""
