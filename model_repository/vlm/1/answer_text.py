"""Generated tokens → thinking and answer, all at once or piece by piece; plain Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

Decode = Callable[[Sequence[int]], str]
UNFINISHED = "\ufffd"
"""What a tokenizer decodes bytes to that are no character, or not yet."""

_CONTROL_IN_JSON = re.compile(r"[\x00-\x1f]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class AnswerText:
    """What a request has generated so far; the pieces together are what one call would give."""

    def __init__(
        self,
        decode: Decode,
        end_of_thinking: int | None,
        control_tokens: Collection[int] = frozenset(),
        *,
        is_json: bool = False,
        stops: Sequence[str] = (),
    ) -> None:
        """Nothing has been generated.

        Args:
            decode: The tokenizer's.
            end_of_thinking: Id of the token that ends the thinking; None when the model does not
                think aloud.
            control_tokens: Ids that are no part of a text.
            is_json: Whether the answer is JSON; other text keeps its line ends.
            stops: Texts before which the answer ends.
        """
        self._end = end_of_thinking
        self._control = control_tokens
        self._thinks = end_of_thinking is not None
        self._reasoning = _Text(decode)
        self._answer = _Text(decode, is_json, stops)
        self.tokens = 0
        self.reasoning_tokens = 0

    @property
    def stopped(self) -> bool:
        """Whether the answer has come to one of the texts before which it ends."""
        return self._answer.stopped

    def add(self, tokens: Sequence[int], *, last: bool = False) -> tuple[str, str]:
        """Add generated tokens.

        Args:
            tokens: Their ids.
            last: Whether none will follow; what was kept back is returned, too.

        Returns:
            What has become certain of the thinking and of the answer. Thinking that does not end
            leaves an empty answer.
        """
        tokens = list(tokens)
        self.tokens += len(tokens)
        thought, ended = 0, True
        if self._thinks and self._end is not None:
            ended = self._end in tokens
            thought = tokens.index(self._end) + 1 if ended else len(tokens)
            self.reasoning_tokens += thought
        reasoning = self._reasoning.add(self._plain(tokens[:thought]), last or ended)
        self._thinks = not ended
        return reasoning, self._answer.add(self._plain(tokens[thought:]), last)

    def _plain(self, tokens: Sequence[int]) -> list[int]:
        return [token for token in tokens if token not in self._control and token != self._end]


class _Text:
    """One of the two texts: decoded, without control characters, stripped, and ended in time.

    xgrammar lets control characters through in strings whose length a schema bounds, where JSON
    forbids them.
    """

    def __init__(self, decode: Decode, is_json: bool = False, stops: Sequence[str] = ()) -> None:
        self._decode = decode
        self._control = _CONTROL_IN_JSON if is_json else _CONTROL
        self._stops = stops
        self._before: list[int] = []  # decoded already: some tokenizers decode by what precedes
        self._tokens: list[int] = []  # not decoded yet
        self._kept = ""
        self._begun = False
        self.stopped = False

    def add(self, tokens: Sequence[int], last: bool) -> str:
        if self.stopped:
            return ""
        self._tokens += tokens
        text = self._kept + self._control.sub(" ", self._decoded(last))
        ends = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if ends:
            self.stopped = True
            text, ready = text[: min(ends)], min(ends)
        else:
            ready = len(text) if last else len(text) - self._doubtful(text)
        sure = text[:ready].rstrip()
        self._kept = text[len(sure) :]
        if not self._begun:
            sure = sure.lstrip()
            self._begun = bool(sure)
        return sure

    def _decoded(self, last: bool) -> str:
        """Return the text of the tokens that make whole characters."""
        if not self._tokens:
            return ""
        before = self._decode(self._before) if self._before else ""
        text = self._decode([*self._before, *self._tokens])
        if text.endswith(UNFINISHED) and not last:
            return ""
        self._before, self._tokens = self._tokens, []
        return text[len(before) :]

    def _doubtful(self, text: str) -> int:
        """Return how many characters at the end may be the beginning of a stop."""
        return max(
            (
                length
                for stop in self._stops
                for length in range(1, min(len(stop), len(text) + 1))
                if text.endswith(stop[:length])
            ),
            default=0,
        )
