"""farzi: learn a handful of synthetic sequences that train a model as well as the whole data set."""

from farzi.distill import MetaMatching, OuterLoop, Size, distill, tune
from farzi.errors import InputError
from farzi.evaluation import NextItem, NextToken, Study, evaluate
from farzi.events import EventData, TextData, load_events, load_text
from farzi.metagrad import Adam, StoreAll
from farzi.models import FMLP, GRU, GRU4Rec, ModernSASRec, ModuleModel, SASRec, Transformer
from farzi.summary import Summary, load, load_from_hub, save_to_hub
from farzi.training import Teachers, Training, fit

__all__ = [
    "FMLP",
    "GRU",
    "Adam",
    "EventData",
    "GRU4Rec",
    "InputError",
    "MetaMatching",
    "ModernSASRec",
    "ModuleModel",
    "NextItem",
    "NextToken",
    "OuterLoop",
    "SASRec",
    "Size",
    "StoreAll",
    "Study",
    "Summary",
    "Teachers",
    "TextData",
    "Training",
    "Transformer",
    "distill",
    "evaluate",
    "fit",
    "load",
    "load_events",
    "load_from_hub",
    "load_text",
    "save_to_hub",
    "tune",
]
