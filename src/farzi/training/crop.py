"""Leave out the ends of sequences, so that what is few is not always seen at the same places."""

from math import floor

import torch

from farzi.models import Batch, Factored


def cropped(batch: Batch | Factored, share: float) -> Batch | Factored:
    """A batch without its last positions, as many as chance says: all its sequences lose the same number.

    What is left is predicted from as much as before, so targets hold as they are. But synthetic sequences begin and end
    at the same places in every pass, where windows of real ones are cut anew; a model that counts positions from the
    last one has each event of these at one place only, and learns them by heart.

    Args:
        batch: sequences, of which real ones may be padded on the left.
        share: most that is left out, of the length of the longest, at least 0 and below 1; the number is drawn evenly
            from 0 on, by torch's global random state.

    Returns:
        the sequences with a position or more left; the same ones where the share is 0.
    """
    if not share:
        return batch
    if isinstance(batch, Factored):
        ahead = batch.targets is None  # latents are those of inputs and of targets, one more than positions
        end = _end(batch.latents.shape[1] - ahead, share)
        targets = None if batch.targets is None else batch.targets[:, :end]
        return batch._replace(latents=batch.latents[:, : end + ahead], targets=targets)
    soft = batch.inputs.is_floating_point()
    padded = 0 if soft else int((batch.inputs < 0).all(0).sum())
    end = padded + _end(batch.inputs.shape[1] - padded, share)
    return Batch(batch.inputs[:, :end], batch.targets[:, :end])


def _end(length: int, share: float) -> int:
    """How many positions are left."""
    return length - int(torch.randint(floor(share * length) + 1, ()))
