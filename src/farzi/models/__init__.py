"""Causal sequence models, their layers and the output head."""

from farzi.models.base import Parameters, SequenceModel, output_layer, restrict, scores
from farzi.models.checks import check_causal
from farzi.models.factored import Factored, expected
from farzi.models.fmlp import FMLP
from farzi.models.gru4rec import GRU4Rec
from farzi.models.head import chunks, log_partition, softmax_cross_entropy
from farzi.models.hugging_face import GPT2, CausalModule, Llama
from farzi.models.language import GRU, Transformer
from farzi.models.loss import Batch, hidden_states, sequence_loss
from farzi.models.module_model import ModuleModel
from farzi.models.registry import MODELS, build_model, describe_model, shortened
from farzi.models.sasrec import SASRec
from farzi.models.sasrec_modern import ModernSASRec

__all__ = [
    "FMLP",
    "GPT2",
    "GRU",
    "MODELS",
    "Batch",
    "CausalModule",
    "Factored",
    "GRU4Rec",
    "Llama",
    "ModernSASRec",
    "ModuleModel",
    "Parameters",
    "SASRec",
    "SequenceModel",
    "Transformer",
    "build_model",
    "check_causal",
    "chunks",
    "describe_model",
    "expected",
    "hidden_states",
    "log_partition",
    "output_layer",
    "restrict",
    "scores",
    "sequence_loss",
    "shortened",
    "softmax_cross_entropy",
]
