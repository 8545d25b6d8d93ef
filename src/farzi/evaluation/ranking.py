"""Ranking metrics: the held-out event among all events of the vocabulary."""

import numpy as np
import torch
from numpy.typing import NDArray

from farzi.events import HeldOut, gather
from farzi.models import Parameters, SequenceModel, hidden_states, scores


def ranks(
    model: SequenceModel, parameters: Parameters, held_out: HeldOut, *, batch_size: int = 256
) -> NDArray[np.int64]:
    """Rank every held-out event among all events, ties counted against it.

    Scores of one batch of histories are alive at a time, never of all.

    Args:
        model: the model.
        parameters: its trained parameters.
        held_out: histories and the events that follow them.
        batch_size: histories scored at once.

    Returns:
        ranks from 1 (best) to the size of the vocabulary, ``(rows,)``.
    """
    device = parameters["embedding"].device
    lengths = np.minimum(held_out.ends - held_out.starts, model.max_length)
    found = np.empty(len(held_out), dtype=np.int64)
    with torch.no_grad():
        # Histories of one length side by side: a batch is as wide as its longest, and padding costs as much as events.
        for part in np.split(np.argsort(lengths, kind="stable"), range(batch_size, len(held_out), batch_size)):
            rows = gather(held_out.events, held_out.starts[part], held_out.ends[part], int(lengths[part].max()))
            inputs = torch.from_numpy(rows).to(device)
            targets = torch.from_numpy(held_out.targets[part].astype(np.int64)).to(device)
            scored = scores(parameters, hidden_states(model, parameters, inputs)[:, -1])
            # Counted by what it beats: a score that is not a number beats nothing and ranks last.
            beaten = (scored < scored.gather(1, targets[:, None])).sum(1)
            found[part] = scored.shape[1] - beaten.cpu().numpy()
    return found


def ranking_metrics(ranks: NDArray[np.int64], vocab_size: int) -> dict[str, float]:
    """Summarise ranks (docs/protocol.md).

    Args:
        ranks: of the held-out events, from 1, ``(rows,)``.
        vocab_size: number of events that were ranked.

    Returns:
        ``HR@10``, ``HR@100``, ``nDCG@10``, ``nDCG@100`` and ``AUC``, each between 0 and 1.
    """
    metrics: dict[str, float] = {}
    for k in (10, 100):
        metrics[f"HR@{k}"] = float((ranks <= k).mean())
        metrics[f"nDCG@{k}"] = float(np.where(ranks <= k, 1 / np.log2(ranks + 1.0), 0).mean())
    metrics["AUC"] = float((1 - (ranks - 1) / max(vocab_size - 1, 1)).mean())
    return metrics
