"""Fit models on real data and on summaries; teachers' trajectories."""

from farzi.training.batches import FEW_SEQUENCES, FEW_WINDOWS, stretch, with_batches, with_sequences
from farzi.training.continued import EVENTS_AWAY, ContinuedSequences, with_assistants
from farzi.training.crop import cropped
from farzi.training.fit import FitLoss, Fitted, OutOfTimeError, Score, Training, TrainingSet, advised, check_length, fit
from farzi.training.process import prepare_process
from farzi.training.sets import FactoredSequences, RealSequences, TensorSequences, as_training_set, draw_schedule
from farzi.training.speed import TRIED_STEPS, Speed, measure_speed
from farzi.training.trajectories import FULL_DATA, KnownSet, Teachers, Trajectory, TrajectoryStore
from farzi.training.weights import Weights, load_weights, save_weights
from farzi.training.workers import Workers

__all__ = [
    "EVENTS_AWAY",
    "FEW_SEQUENCES",
    "FEW_WINDOWS",
    "FULL_DATA",
    "TRIED_STEPS",
    "ContinuedSequences",
    "FactoredSequences",
    "FitLoss",
    "Fitted",
    "KnownSet",
    "OutOfTimeError",
    "RealSequences",
    "Score",
    "Speed",
    "Teachers",
    "TensorSequences",
    "Training",
    "TrainingSet",
    "Trajectory",
    "TrajectoryStore",
    "Weights",
    "Workers",
    "advised",
    "as_training_set",
    "check_length",
    "cropped",
    "draw_schedule",
    "fit",
    "load_weights",
    "measure_speed",
    "prepare_process",
    "save_weights",
    "stretch",
    "with_assistants",
    "with_batches",
    "with_sequences",
]
