"""How the tokens that a model lists are told."""

from __future__ import annotations

import json
import time

from gateway.services.text.tokenization import listing


async def test_many_tokens_are_told_off_the_loop() -> None:
    places = list(range(10_000))
    raw = json.dumps(
        {"ids": places, "tokens": ["a"] * 10_000, "special": [0] * 10_000, "starts": places,
         "stops": [place + 1 for place in places]}
    ).encode()  # fmt: skip
    here, everywhere = time.thread_time(), time.process_time()
    assert len(await listing(["a" * 10_000] * 40, [raw] * 40, special=True)) == 40
    here, everywhere = time.thread_time() - here, time.process_time() - everywhere
    assert here < everywhere / 4
