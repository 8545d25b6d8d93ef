"""Farzi Data itself: factors, initialisation and the file format."""

from farzi.summary.artefact import FORMAT_VERSION, Summary, load, round_to_stored
from farzi.summary.card import Advice, Card, Retention
from farzi.summary.export import effective_events, export
from farzi.summary.factors import Factors
from farzi.summary.generated import draw_events, generate
from farzi.summary.hub import dataset_card, load_from_hub, save_to_hub
from farzi.summary.initialise import Distributions, Teacher, expectations, factorise, from_real
from farzi.summary.representative import representative

__all__ = [
    "FORMAT_VERSION",
    "Advice",
    "Card",
    "Distributions",
    "Factors",
    "Retention",
    "Summary",
    "Teacher",
    "dataset_card",
    "draw_events",
    "effective_events",
    "expectations",
    "export",
    "factorise",
    "from_real",
    "generate",
    "load",
    "load_from_hub",
    "representative",
    "round_to_stored",
    "save_to_hub",
]
