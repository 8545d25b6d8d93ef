"""Language models: the architectures of recommendation, under the names and with the sizes that text asks for."""

from dataclasses import dataclass

from farzi.models.gru4rec import GRU4Rec
from farzi.models.sasrec import SASRec


@dataclass(frozen=True, kw_only=True)
class Transformer(SASRec):
    """A decoder-only transformer, pre-normalised, with tied output (Radford et al., 2019, GPT-2).

    It computes what :class:`SASRec` computes but for the normalisation of what is read, which such transformers do not
    have; position vectors are counted from the last token.

    Args:
        dim: width of embeddings and hidden states.
        blocks: number of attention blocks.
        heads: attention heads a block; divides ``dim``.
        max_length: most positions that the model can read: its window on the text.

    Raises:
        ValueError: a size is not positive, or ``heads`` does not divide ``dim``.
    """

    dim: int = 64
    blocks: int = 2
    heads: int = 2

    name = "transformer"

    normalises_input = False


@dataclass(frozen=True, kw_only=True)
class GRU(GRU4Rec):
    """A gated recurrent language model with tied output (Cho et al., 2014, arXiv 1406.1078).

    It computes what :class:`GRU4Rec` computes: recurrent layers, and a linear map back to the width of the embeddings.

    Args:
        dim: width of embeddings and hidden states.
        width: of the recurrent layers' states.
        layers: number of recurrent layers.
        max_length: most positions that the model can read: its window on the text.

    Raises:
        ValueError: a size is not positive.
    """

    dim: int = 64
    width: int = 128

    name = "gru"
