"""What all models refuse."""

from torch import Tensor


def check_positive(model: object, *fields: str) -> None:
    """Refuse sizes that are not positive.

    Args:
        model: has the sizes as attributes.
        fields: their names.

    Raises:
        ValueError: one of them is below 1; it is named.
    """
    for field in fields:
        if getattr(model, field) < 1:
            raise ValueError(f"{field} is {getattr(model, field)}; it must be at least 1")


def check_length(embeddings: Tensor, max_length: int) -> None:
    """Refuse sequences that a model cannot read.

    Args:
        embeddings: ``(batch, length, dim)``.
        max_length: most positions that the model reads.

    Raises:
        ValueError: the sequences are longer.
    """
    if embeddings.shape[1] > max_length:
        raise ValueError(f"sequences of {embeddings.shape[1]} positions do not fit max_length = {max_length}")
