"""Scoring: embeddings of a test set, scores of its trials, error rates and their intervals.

The modules are imported by name; only ``control`` imports torch.
"""
