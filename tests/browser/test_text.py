"""The Text page against the real text models."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.support.browser import Tab
from tests.support.stack import Stack

SENTENCES = ["Cats chase mice.", "A cat hunts a mouse.", "The invoice is overdue."]


def test_scores_a_pair(tab: Tab, stack: Stack) -> None:
    page = tab.open("text")
    page.get_by_label("Candidate").fill(SENTENCES[0])
    page.get_by_label("Reference").fill(SENTENCES[1])
    page.get_by_role("button", name="Score").click()
    scores = page.get_by_role("list", name="Scores")
    body = {"candidates": [SENTENCES[0]], "references": [SENTENCES[1]]}
    answer = httpx.post(stack.main + "/text/bertscore", json=body, timeout=30).json()
    scores.wait_for()
    shown = [float(value) for value in scores.locator(".bar-value").all_text_contents()]
    expected = [answer[name][0] for name in ("precision", "recall", "f1")]
    assert shown == pytest.approx(expected, abs=1e-4)
    expect(page.get_by_text(f"Model: {answer['model']}", exact=True)).to_be_visible()


def test_draws_the_heat_map(tab: Tab, stack: Stack) -> None:
    page = tab.open("text")
    page.get_by_label("Sentences").fill("\n".join(SENTENCES))
    page.get_by_role("button", name="Compare").click()
    table = page.get_by_role("table", name="Cosine similarity")
    table.wait_for()
    shown = np.array(table.get_by_role("cell").all_text_contents(), float).reshape(3, 3)
    reply = httpx.post(stack.main + "/text/embed", json={"texts": SENTENCES}, timeout=30)
    vectors = np.array(reply.json()["embeddings"])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    # Two decimals; bfloat16 may round a text differently in another batch.
    assert np.abs(shown - vectors @ vectors.T).max() < 0.02
    assert shown[0, 1] > shown[0, 2]
    colours = {
        cell.evaluate("cell => getComputedStyle(cell).backgroundColor")
        for cell in table.get_by_role("cell").all()[:3]
    }
    assert len(colours) == 3
    expect(table.get_by_role("rowheader").nth(2)).to_contain_text(SENTENCES[2])
