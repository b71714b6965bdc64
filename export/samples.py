"""Texts that parity is judged on: ordinary ones and every kind that has broken a tokenizer."""

from __future__ import annotations

import random

_WORDS = """
the of a model server request latency queue batch image lip voice story river mountain quantum
garden teapot yesterday tomorrow quickly carefully blue seven runs asked whether because although
New York Berlin don't state-of-the-art e-mail 3.14 42% $9.99 naïve café Straße größer señor façade
""".split()  # noqa: SIM905 - easier to read than a list

_SCRIPTS = (
    "Быстрая лисица прыгает через ленивую собаку",
    "素早い茶色の狐がのろまな犬を飛び越える",
    "敏捷的棕色狐狸跳過了懶狗",
    "날쌘 갈색 여우가 게으른 개를 뛰어넘는다",
    "الثعلب البني السريع يقفز فوق الكلب الكسول",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है",
    "השועל החום המהיר קופץ מעל הכלב העצלן",
    "Η γρήγορη καφέ αλεπού πηδάει",
    "สุนัขจิ้งจอกสีน้ำตาลกระโดด",
)

_ODD = (
    "",
    " ",
    "\t\n  \r\n",
    "a",
    "Z",
    ".",
    "?!?!?!",
    "😀",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈 flag",
    "😀" * 300,
    "\u0301",
    "e\u0301\u0302\u0303",
    "\u0000\u0001\u0002 control \u007f",
    "zero\u200bwidth\u200djoiner\ufeff",
    "\u202eright to left override",
    "[CLS] [SEP] [PAD] [MASK] [UNK]",
    "[SEP]",
    "antidisestablishmentarianism" * 20,
    "x" * 101,
    "ＦＵＬＬＷＩＤＴＨ ｔｅｘｔ",
    "ﬁ ligature ½ ² Ⅷ",
    "http://example.org/a?b=c&d=%20#frag user@example.org",
    '{"json": [1, 2, {"k": null}]}',
    "SELECT * FROM t WHERE a = 'b'; --",
    "line one\nline two\n\nline four",
    "\ufffd replacement \U0010ffff last",
    "word " * 2000,
    "abcdefghij" * 1000,
    "字" * 10_000,
    "mixed 混合 смешанный مختلط " * 50,
)


def varied_texts(count: int = 200, seed: int = 7) -> list[str]:
    """`count` texts, the odd ones first; the same for the same `seed`."""
    chance = random.Random(seed)  # noqa: S311 - reproducible samples, not secrets
    texts = [*_ODD, *_SCRIPTS]
    while len(texts) < count:
        length = int(chance.lognormvariate(2.8, 0.9)) + 1
        words = chance.choices(_WORDS, k=min(length, 400))
        if chance.random() < 0.15:
            words.insert(chance.randrange(len(words)), chance.choice(_SCRIPTS))
        texts.append(" ".join(words).capitalize() + chance.choice((".", "!", "?", "")))
    return texts[:count]


def varied_pairs(count: int = 200, seed: int = 11) -> list[tuple[str, str]]:
    """`count` candidate-reference pairs: equal, alike, unrelated, and each kind of odd text."""
    chance = random.Random(seed)  # noqa: S311 - reproducible samples, not secrets
    texts = varied_texts(count, seed)
    pairs = []
    for text in texts:
        kind = chance.random()
        if kind < 0.1:
            other = text
        elif kind < 0.6:
            words = text.split(" ")[:300]
            words[chance.randrange(len(words))] = chance.choice(_WORDS)
            other = " ".join(words)
        else:
            other = chance.choice(texts)
        pairs.append((text, other))
    return pairs
