"""The texts that every server is asked about: deterministic, varied, never the same twice.

No text is longer than 256 tokens, where sentence-transformers cuts all-MiniLM-L6-v2's input:
a peer that cuts elsewhere (infinity's optimum engine: 512) must not be made to do more work.
"""

from __future__ import annotations

import random

SEED = 20260101
PAIRS = TEXTS = 100
"""Items in a bulk request: the documented maximum."""


def _phrases(text: str) -> list[str]:
    return text.split("|")


_SUBJECTS = _phrases(
    "the committee|a young engineer|our neighbour|the old lighthouse|every second patient|"
    "the river authority|a group of students|the national orchestra|my grandmother|the airline|"
    "a retired detective|the village bakery|the satellite|an anonymous donor|the goalkeeper|"
    "the software team|a migrating flock|the municipal library|the jury|a careful translator"
)
_VERBS = _phrases(
    "approved|described|rejected|repaired|photographed|postponed|celebrated|questioned|measured|"
    "abandoned|rediscovered|translated|financed|criticised|inherited|organised|misunderstood|"
    "published|protected|simplified"
)
_OBJECTS = _phrases(
    "the quarterly budget|an unusual melody|the bridge across the valley|a box of letters|"
    "the proposal for cheaper energy|three hundred samples|the emergency procedure|a new vaccine|"
    "the recipe for rye bread|the harbour's oldest crane|a manuscript about astronomy|"
    "the rules of the tournament|a collection of beetles|the local railway line|the final chapter|"
    "a cloud database|the morning timetable|the broken water pump|two rival theories|a wool coat"
)
_CIRCUMSTANCES = _phrases(
    "after a long and noisy debate|before the snow melted|in spite of the heavy traffic|"
    "with surprising patience|during the summer festival|for the first time in decades|"
    "without telling anyone|under bright laboratory lamps|because the deadline had passed|"
    "while the radio was playing|at an altitude of two thousand metres|near the Portuguese border|"
    "using only recycled material|on behalf of the tenants|despite the latest forecast|"
    "in a small town in Bavaria|as the newspapers reported|with the help of volunteers"
)


def _sentence(rng: random.Random) -> str:
    parts = [rng.choice(_SUBJECTS), rng.choice(_VERBS), rng.choice(_OBJECTS)]
    parts += rng.sample(_CIRCUMSTANCES, rng.choice((0, 1, 1, 2)))
    number = f"case {rng.randrange(10_000)}"
    return f"In {number}, {' '.join(parts)}."


def short_text(rng: random.Random) -> str:
    """Return one sentence of 8 to 25 tokens."""
    return _sentence(rng)


def mixed_text(rng: random.Random) -> str:
    """Return 1 to 10 sentences, 10 to about 230 tokens: half short, a few long."""
    return " ".join(
        _sentence(rng) for _ in range(rng.choices((1, 2, 3, 5, 10), (8, 4, 4, 3, 1))[0])
    )


def embed_short(count: int) -> list[list[str]]:
    """Return ``count`` requests with one short text each."""
    rng = random.Random(SEED)
    return [[short_text(rng)] for _ in range(count)]


def embed_mixed(count: int) -> list[list[str]]:
    """Return ``count`` requests with 100 texts of mixed length each."""
    rng = random.Random(SEED + 1)
    return [[mixed_text(rng) for _ in range(TEXTS)] for _ in range(count)]


def _paraphrase(rng: random.Random, sentence: str) -> str:
    """Return the sentence with about a quarter of its words replaced by words of another."""
    other = _sentence(rng).split()
    return " ".join(rng.choice(other) if rng.random() < 0.25 else word for word in sentence.split())


def pairs(count: int, *, repeated: bool) -> list[tuple[list[str], list[str]]]:
    """Return ``count`` requests of 100 (candidates, references) pairs.

    Every sentence is different, or (``repeated``) each one occurs twice in its request, as when
    two systems' outputs are scored against the same references.
    """
    rng = random.Random(SEED + 2 + repeated)
    requests = []
    for _ in range(count):
        distinct = PAIRS // 2 if repeated else PAIRS
        references = [
            " ".join(_sentence(rng) for _ in range(rng.choice((1, 1, 2)))) for _ in range(distinct)
        ]
        candidates = [_paraphrase(rng, sentence) for sentence in references]
        if repeated:
            references, candidates = references * 2, candidates + candidates[1:] + candidates[:1]
        requests.append((candidates, references))
    return requests
