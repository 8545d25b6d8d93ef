"""Models of transformers: theirs to the last digit, and what a user is told where the package is missing."""

import sys
from functools import partial

import pytest
import torch
from model_list import LENGTH, VOCAB, ids, settled

from farzi.errors import InputError
from farzi.models import GPT2, CausalModule, Llama, ModuleModel, check_causal, hidden_states, scores

transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")


def theirs(model, parameters):
    """The language model of transformers with our parameters, embeddings as they are and tied."""
    config = model._config()
    config.vocab_size, config.tie_word_embeddings = VOCAB, True
    made = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").double().eval()
    body = {name.removeprefix("module.body."): part for name, part in parameters.items() if name != "embedding"}
    missing = made.base_model.load_state_dict(body, strict=False).missing_keys
    assert len(missing) == 1
    with torch.no_grad():
        made.get_input_embeddings().weight.copy_(parameters["embedding"])
    made.tie_weights()
    return made


@pytest.mark.parametrize("model", [GPT2, Llama])
def test_predicts_what_theirs_predicts(model):
    model = model(dim=8, blocks=2, heads=2, max_length=LENGTH)
    p, rows = settled(model), ids(3, LENGTH)
    with torch.no_grad():
        wanted = theirs(model, p)(rows).logits
    found = scores(p, hidden_states(model, p, rows))
    # Llama's normalisation, rotation and attention weights are in single precision there.
    close = {"rtol": 1e-10, "atol": 1e-10} if model.name == "gpt2" else {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(found, wanted, **close)


@pytest.mark.parametrize(
    "config",
    [
        partial(transformers.GPT2Config, n_embd=8, n_layer=1, n_head=2, activation_function="relu"),
        partial(transformers.LlamaConfig, num_key_value_heads=1),
        partial(transformers.MistralConfig, num_key_value_heads=1, sliding_window=3),
        partial(transformers.GPTNeoXConfig, vocab_size=VOCAB),
        partial(transformers.FalconConfig, vocab_size=VOCAB),  # has its own attention
    ],
)
def test_any_configuration_is_a_model(config):
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = config() if config.func is transformers.GPT2Config else config(**sizes)
    model = ModuleModel(module=partial(CausalModule, config), dim=8, max_length=LENGTH, name="any")
    p = settled(model)
    rows = ids(2, LENGTH)
    states = hidden_states(model, p, rows)
    padded = torch.cat([torch.full((2, 1), -1), rows[:, :-1]], 1)
    torch.testing.assert_close(hidden_states(model, p, padded)[:, 1:], states[:, :-1], rtol=1e-5, atol=1e-5)
    assert not any("embed_tokens" in name or "wte" in name or "embed_in" in name for name in p)
    if getattr(config, "sliding_window", None):  # three positions back is out of sight
        other = rows.clone()
        other[:, 0] = (other[:, 0] + 1) % VOCAB
        assert torch.equal(hidden_states(model, p, other)[:, 3:], states[:, 3:])
        assert not torch.equal(hidden_states(model, p, other)[:, :3], states[:, :3])


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (partial(transformers.Gemma2Config, head_dim=4), "no attention with softcap"),
        (transformers.BertConfig, "'any' is not causal"),
    ],
)
def test_what_would_be_computed_wrongly_is_refused(config, told):
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = ModuleModel(module=partial(CausalModule, config(**sizes)), dim=8, max_length=LENGTH, name="any")
    with pytest.raises(InputError, match=told):
        check_causal(model, model.init(VOCAB, 0))


@pytest.mark.parametrize(("model", "heads"), [(GPT2, 3), (Llama, 8)])
def test_heads_that_do_not_fit_are_named(model, heads):
    with pytest.raises(ValueError, match=f"heads is {heads}; it must divide dim = 8"):
        model(dim=8, heads=heads)


@pytest.mark.parametrize("model", [GPT2, Llama])
def test_without_the_package_the_models_say_what_to_install(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install 'farzi\[hf\]'"):
        model(dim=8, heads=2).init(VOCAB, 0)
