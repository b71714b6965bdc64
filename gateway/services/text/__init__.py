"""The text API: BERTScore and embeddings."""
