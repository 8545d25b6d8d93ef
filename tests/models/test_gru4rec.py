"""GRU4Rec against torch's own recurrent layer."""

import torch
from model_list import LENGTH, ids, settled
from torch import nn

from farzi.models import GRU4Rec

MODEL = GRU4Rec(dim=8, width=12, layers=2, max_length=LENGTH)


def test_computes_what_torchs_layer_computes():
    p = settled(MODEL)
    embeddings = p["embedding"][ids(3, LENGTH)]
    layer = nn.GRU(MODEL.dim, MODEL.width, MODEL.layers, batch_first=True, dtype=torch.float64)
    weights = {f"bias_hh_l{i}": torch.zeros(3 * MODEL.width) for i in range(MODEL.layers)}
    for i in range(MODEL.layers):
        names = {"weight_ih": "input", "bias_ih": "bias", "weight_hh": "recurrent"}
        weights |= {f"{its}_l{i}": p[f"{i}.{ours}"] for its, ours in names.items()}
    layer.load_state_dict(weights)
    with torch.no_grad():
        wanted = layer(embeddings * MODEL.dim**0.5)[0] @ p["out"].T + p["out_bias"]
    torch.testing.assert_close(MODEL.hidden(p, embeddings), wanted, rtol=1e-10, atol=1e-12)
