"""The lip-sync API over gRPC: `inference.InferenceService` in both of its wire dialects."""
