"""Thresholds belong to a model: those that were measured, those that `instag calibrate` stored, and where from."""

from __future__ import annotations

# The paper's distance, chosen for PhraseBERT; the careful choice where none is known: at a similarity of 0.95 sentence
# models join little beyond inflections.
PHRASE_BERT = "whaleloops/phrase-bert"
PHRASE_BERT_DISTANCE = 0.05
