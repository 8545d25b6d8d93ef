"""Causal sequence models, their layers and the output head."""

from farzi.models.base import Parameters, SequenceModel, output_layer, restrict, scores
from farzi.models.factored import Factored, expected
from farzi.models.head import chunks, log_partition, softmax_cross_entropy
from farzi.models.loss import Batch, hidden_states, sequence_loss
from farzi.models.registry import MODELS, build_model
from farzi.models.sasrec import SASRec

__all__ = [
    "MODELS",
    "Batch",
    "Factored",
    "Parameters",
    "SASRec",
    "SequenceModel",
    "build_model",
    "chunks",
    "expected",
    "hidden_states",
    "log_partition",
    "output_layer",
    "restrict",
    "scores",
    "sequence_loss",
    "softmax_cross_entropy",
]
