"""The likeliest events of each position, as rows of a data set of Hugging Face (extra ``hub``)."""

from typing import TYPE_CHECKING

import numpy as np

from farzi.errors import InputError
from farzi.summary.card import Card
from farzi.summary.factors import Factors

if TYPE_CHECKING:
    from datasets import Dataset


def likeliest_rows(factors: Factors, card: Card, top: int) -> "Dataset":
    """See :meth:`farzi.summary.Summary.to_datasets`.

    Args:
        factors: the sequences, decoded one by one.
        card: names the data and its licence.
        top: events kept at each position.

    Returns:
        a row for each sequence.

    Raises:
        InputError: ``datasets`` is not installed, or ``top`` is not positive.
    """
    try:
        from datasets import Dataset, DatasetInfo
    except ImportError as error:
        raise InputError("this needs the package datasets; install it with pip install 'farzi[hub]'") from error
    if top < 1:
        raise InputError(f"top is {top}; it must be at least 1")
    top = min(top, factors.vocab_size)
    shape = (factors.num_sequences, factors.length, top)
    columns = {
        f"{part}_{name}": np.empty(shape, kind)
        for part in ("input", "target")
        for name, kind in (("events", np.int32), ("probabilities", np.float32))
    }
    for number in range(factors.num_sequences):
        for part, distributions in zip(("input", "target"), factors.decode(slice(number, number + 1)), strict=True):
            found = distributions[0].topk(top)
            columns[f"{part}_events"][number] = found.indices.cpu().numpy()
            columns[f"{part}_probabilities"][number] = found.values.detach().cpu().numpy()
    kept = {part: columns[f"{part}_probabilities"].sum(-1, dtype=np.float64).mean() for part in ("input", "target")}
    description = (
        f"A summary of {card.data} by farzi: the {top:,} likeliest of {factors.vocab_size:,} events at each position. "
        f"They hold {kept['input']:.1%} of the inputs' probability and {kept['target']:.1%} of the targets'."
    )
    return Dataset.from_dict(columns, info=DatasetInfo(description=description, license=card.licence or ""))
