"""What is fused behind an encoder, as torch modules."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn


class _Headed(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.takes_types = "token_type_ids" in inspect.signature(encoder.forward).parameters

    def hidden_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        extra = {"token_type_ids": torch.zeros_like(input_ids)} if self.takes_types else {}
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **extra)
        states: Tensor = output.last_hidden_state
        return states


class SentenceHead(_Headed):
    """Mean over the unmasked tokens, then unit length: sentence-transformers' Pooling + Normalize.

    Inputs INT64 [batch, length]; output FP32 [batch, hidden].
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeddings of a padded batch."""
        states = self.hidden_states(input_ids, attention_mask)
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(mean, dim=1)


class TokenHead(_Headed):
    """Each token's state at unit length, as bert-score divides by the norm before matching.

    Inputs INT64 [batch, length]; output FP32 [batch, length, hidden].
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Normalised hidden states of a padded batch; those of padding mean nothing."""
        states = self.hidden_states(input_ids, attention_mask)
        # No lower bound on the norm in bert-score; padding of DeBERTa may be all zeros, though,
        # and 0/0 there would only put NaN into rows that the matcher has to skip anyway.
        return states / states.norm(dim=-1, keepdim=True).clamp(min=1e-12)


class PairHead(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """A sequence classifier of one label, which reads two texts at once.

    Inputs INT64 [batch, length]; output FP32 [batch, 1].

    Args:
        encoder: The classifier.
        takes_types: Whether it is told which token is of which text.
    """

    def __init__(self, encoder: Any, *, takes_types: bool) -> None:
        super().__init__()
        self.encoder = encoder
        known = "token_type_ids" in inspect.signature(encoder.forward).parameters
        self.takes_types = takes_types and known

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Logits of a padded batch."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self.takes_types:
            return self.encoder(**inputs, token_type_ids=token_type_ids).logits
        # All graphs have the same inputs, so that one configuration serves them.
        return self.encoder(**inputs).logits + 0.0 * token_type_ids[:, :1]
