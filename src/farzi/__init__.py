"""farzi: learn a handful of synthetic sequences that train a model as well as the whole data set."""

from farzi.distill import MetaMatching, OuterLoop, Size, distill
from farzi.errors import InputError
from farzi.evaluation import NextItem, Study, evaluate
from farzi.events import EventData, load_events
from farzi.metagrad import Adam, StoreAll
from farzi.models import FMLP, GRU4Rec, ModernSASRec, ModuleModel, SASRec
from farzi.summary import Summary, load
from farzi.training import Teachers, Training, fit

__all__ = [
    "FMLP",
    "Adam",
    "EventData",
    "GRU4Rec",
    "InputError",
    "MetaMatching",
    "ModernSASRec",
    "ModuleModel",
    "NextItem",
    "OuterLoop",
    "SASRec",
    "Size",
    "StoreAll",
    "Study",
    "Summary",
    "Teachers",
    "Training",
    "distill",
    "evaluate",
    "fit",
    "load",
    "load_events",
]
