"""SASRec against torch's own attention and normalisation."""

import pytest
import torch
from model_list import ids, settled
from torch import Tensor, nn
from torch.nn.functional import gelu

from farzi.models import Parameters, SASRec, Transformer

MODEL = SASRec(dim=8, blocks=2, heads=2, max_length=6)


TEXT = Transformer(dim=8, blocks=2, heads=2, max_length=6)


def reference(p: Parameters, embeddings: Tensor) -> Tensor:
    """The same network out of torch's own attention and normalisation; that of text does not normalise its input."""
    dim, length = MODEL.dim, embeddings.shape[1]
    positions = p["position"][-length:]
    if "input.norm" in p:
        x = nn.functional.layer_norm(embeddings + positions, (dim,), p["input.norm"], p["input.norm_bias"])
    else:
        x = embeddings * dim**0.5 + positions
    future = nn.Transformer.generate_square_subsequent_mask(length, dtype=torch.float64)
    for block in range(MODEL.blocks):
        attention = nn.MultiheadAttention(dim, MODEL.heads, bias=False, batch_first=True, dtype=torch.float64)
        attention.load_state_dict(
            {"in_proj_weight": p[f"{block}.attention.qkv"], "out_proj.weight": p[f"{block}.attention.out"]}
        )
        normed = nn.functional.layer_norm(x, (dim,), p[f"{block}.attention.norm"])
        x = x + attention(normed, normed, normed, attn_mask=future, need_weights=False)[0]
        normed = nn.functional.layer_norm(x, (dim,), p[f"{block}.mlp.norm"])
        up = nn.functional.linear(normed, p[f"{block}.mlp.up"], p[f"{block}.mlp.up_bias"])
        x = x + nn.functional.linear(gelu(up), p[f"{block}.mlp.down"])
    return nn.functional.layer_norm(x, (dim,), p["norm"], p["norm_bias"])


@pytest.mark.parametrize("model", [MODEL, TEXT], ids=lambda model: model.name)
@pytest.mark.parametrize("length", [1, 4, 6])
def test_computes_what_torchs_layers_compute(model, length):
    p = settled(model)
    assert ("input.norm" in p) == (model is MODEL)
    embeddings = p["embedding"][ids(3, length)]
    torch.testing.assert_close(model.hidden(p, embeddings), reference(p, embeddings), rtol=1e-10, atol=1e-12)


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match="heads is 4; it must divide dim = 6"):
        SASRec(dim=6, heads=4)
