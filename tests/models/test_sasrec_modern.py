"""The modern SASRec: what its parts leave to be said of the whole."""

import pytest
import torch
from model_list import LENGTH, ids, settled
from torch.nn.functional import rms_norm, silu

from farzi.models import ModernSASRec
from farzi.models.layers_modern import rotary

MODEL = ModernSASRec(dim=8, blocks=2, heads=2, max_length=LENGTH)


@pytest.mark.parametrize("length", [1, LENGTH])
def test_computes_what_torchs_layers_compute(length):
    p = settled(MODEL)
    embeddings = p["embedding"][ids(3, length)]
    x = rms_norm(embeddings + p["position"][-length:], (8,), p["input.norm"], 1e-5)
    future = torch.ones(length, length, dtype=torch.bool).tril()
    for block in range(MODEL.blocks):
        normed = rms_norm(x, (8,), p[f"{block}.attention.norm"], 1e-5)
        q, k, v = (
            t.unflatten(-1, (2, 4)).transpose(1, 2) for t in (normed @ p[f"{block}.attention.qkv"].T).chunk(3, -1)
        )
        mixed = torch.nn.functional.scaled_dot_product_attention(rotary(q), rotary(k), v, attn_mask=future)
        x = x + mixed.transpose(1, 2).flatten(2) @ p[f"{block}.attention.out"].T
        normed = rms_norm(x, (8,), p[f"{block}.mlp.norm"], 1e-5)
        gate, up = (normed @ p[f"{block}.mlp.up"].T).chunk(2, -1)
        x = x + (silu(gate) * up) @ p[f"{block}.mlp.down"].T
    torch.testing.assert_close(MODEL.hidden(p, embeddings), rms_norm(x, (8,), p["norm"], 1e-5), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("heads", [3, 8])
def test_heads_divide_the_width_into_even_parts(heads):
    with pytest.raises(ValueError, match=f"heads is {heads}; it must divide dim = 8 into even parts"):
        ModernSASRec(dim=8, heads=heads)
