"""Factors: what they decode to, how they start, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farzi.models import SASRec, Transformer, hidden_states
from farzi.summary import Factors, expectations, factorise, from_real


def random_factors(kind: str = "free", sequences: int = 3, length: int = 4, rank: int = 5, vocab: int = 7) -> Factors:
    torch.manual_seed(0)
    stored = length + (kind == "next")
    targets = torch.randn(sequences, stored, rank) if kind == "free" else None
    return Factors(
        latents=torch.randn(sequences, stored, rank), decoder=torch.randn(rank, vocab), targets=targets, temperature=0.7
    )


@given(
    sequences=st.integers(1, 4),
    length=st.integers(1, 5),
    rank=st.integers(1, 6),
    vocab=st.integers(2, 9),
    free=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_decoding_gives_distributions_of_the_stated_shape(sequences, length, rank, vocab, free):
    factors = random_factors("free" if free else "next", sequences, length, rank, vocab)
    batch = factors.decode()
    assert (factors.num_sequences, factors.length, factors.vocab_size) == (sequences, length, vocab)
    for part in batch:
        assert part.shape == (sequences, length, vocab)
        torch.testing.assert_close(part.sum(-1), torch.ones(sequences, length))


def test_next_targets_are_the_inputs_one_position_later():
    batch = random_factors("next").decode()
    assert torch.equal(batch.targets[:, :-1], batch.inputs[:, 1:])


def test_free_targets_have_latents_of_their_own():
    factors = random_factors("free")
    moved = factors.with_tensors(
        {**factors.tensors(), "targets": factors.targets + 1.0 * torch.randn_like(factors.targets)}
    )
    assert torch.equal(moved.decode().inputs, factors.decode().inputs)
    assert not torch.allclose(moved.decode().targets, factors.decode().targets)


def test_decoding_a_batch_equals_a_part_of_decoding_all():
    factors, indices = random_factors(), torch.tensor([2, 0])
    for part, whole in zip(factors.decode(indices), factors.decode(), strict=True):
        torch.testing.assert_close(part, whole[indices])


def test_the_temperature_divides_the_logits():
    factors = random_factors()
    logits = factors.latents @ factors.decoder / 0.7
    torch.testing.assert_close(factors.decode().inputs, logits.softmax(-1))


def test_sampling_follows_the_distributions_and_the_seed():
    factors = random_factors(sequences=1, length=1)
    draws = torch.stack([factors.sample(torch.Generator().manual_seed(seed))[0] for seed in range(4000)])
    assert draws.shape == (4000, 2)
    for drawn, wanted in zip(draws.T, factors.decode(), strict=True):
        frequencies = drawn.bincount(minlength=7) / len(drawn)
        assert float((frequencies - wanted.flatten()).abs().max()) < 0.03
    assert torch.equal(
        factors.sample(torch.Generator().manual_seed(1)), factors.sample(torch.Generator().manual_seed(1))
    )


@pytest.mark.parametrize("kind", ["free", "next"])
def test_what_distributions_would_take_is_known_before(kind):
    chosen = random_factors(kind)
    assert chosen.decoded_bytes == sum(part.numel() * part.element_size() for part in chosen.decode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder": torch.zeros(4, 7)}, "rank"),
        ({"targets": torch.zeros(3, 5, 5)}, "differ"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"latents": torch.zeros(3, 1, 5), "targets": None}, "at least 2 positions"),
    ],
)
def test_factors_that_do_not_fit_are_refused(changes, message):
    factors = random_factors()
    fields = {"latents": factors.latents, "decoder": factors.decoder, "targets": factors.targets, **changes}
    with pytest.raises(ValueError, match=message):
        Factors(**fields)


def test_factorising_recovers_distributions_of_that_rank():
    torch.manual_seed(1)
    wanted = (torch.randn(60, 4) @ torch.randn(4, 20)).softmax(-1)
    latents, decoder = factorise(wanted, 6)
    found = (latents @ decoder).softmax(-1)
    divergence = (wanted * (wanted.log() - found.log())).sum(-1).mean()
    uniform = (wanted * (wanted.log() + torch.tensor(20.0).log())).sum(-1).mean()
    assert float(divergence) < 0.02 * float(uniform)


def teachers(vocab: int, count: int = 2) -> list:
    model = Transformer(dim=8, blocks=1, heads=1, max_length=6)
    return [(model, {k: 3 * v for k, v in model.init(vocab, seed).items()}) for seed in range(count)]


def test_teachers_expect_with_their_output_vectors_and_bias():
    model = SASRec(dim=8, max_length=6)
    output, bias = torch.randn(15, 8), torch.randn(15)
    tied = model.init(15, 0)
    teacher = {**tied, "output": output, "output_bias": bias}
    sequences = torch.randint(15, (4, 6), generator=torch.Generator().manual_seed(0))
    wanted = (hidden_states(model, tied, sequences) @ output.T + bias).softmax(-1)
    torch.testing.assert_close(expectations(sequences, [(model, teacher)]), wanted)


def expected_after(inputs: torch.Tensor, teachers: list) -> torch.Tensor:
    """The teachers' mean prediction at each position of soft sequences, written out."""
    each = [
        (hidden_states(model, parameters, inputs) @ parameters["embedding"].T).softmax(-1)
        for model, parameters in teachers
    ]
    return torch.stack(each).mean(0)


def divergence(wanted: torch.Tensor, found: torch.Tensor) -> float:
    return float((wanted * (wanted.log() - found.log())).sum(-1).mean())


@pytest.mark.parametrize(("sharpness", "least"), [(0.5, 0.4), (0.95, 0.76), (0.99, 0.9)])
def test_free_factors_start_as_real_events_with_what_teachers_expect_after_reading_them(sharpness, least):
    vocab, both = 15, teachers(15)
    sequences = torch.randint(vocab, (4, 6), generator=torch.Generator().manual_seed(0))
    batch = from_real(sequences, vocab, both, kind="free", rank=12, sharpness=sharpness).decode()
    events = batch.inputs.gather(-1, sequences[:, :-1, None])
    assert least < float(events.min()) < float(events.max()) < sharpness + 0.01
    assert divergence(expected_after(batch.inputs, both), batch.targets) < 1e-3


def test_a_low_rank_holds_the_targets_before_the_inputs():
    vocab, both = 60, teachers(60)
    sequences = torch.randint(vocab, (12, 7), generator=torch.Generator().manual_seed(0))
    batch = from_real(sequences, vocab, both, kind="free", rank=8).decode()
    wanted = expected_after(batch.inputs, both)
    uniform = torch.full_like(wanted, 1 / vocab)
    assert divergence(wanted, batch.targets) < 0.05 * divergence(wanted, uniform)
    found = batch.inputs.gather(-1, sequences[:, :-1, None])[..., 0]
    assert float((found == batch.inputs.max(-1).values).float().mean()) > 0.9


def test_next_factors_start_at_a_real_event_and_go_on_as_teachers_expect():
    vocab, both = 15, teachers(15)
    sequences = torch.randint(vocab, (4, 6), generator=torch.Generator().manual_seed(0))
    batch = from_real(sequences, vocab, both, kind="next", rank=15).decode()
    assert batch.inputs.shape == (4, 5, vocab)
    first = batch.inputs[:, 0].gather(-1, sequences[:, :1])
    assert float(first.min()) > 0.76
    assert divergence(expected_after(batch.inputs, both), batch.targets) < 1e-3


def test_next_factors_have_a_share_of_the_real_event_beside_what_teachers_expect():
    vocab, both, share = 15, teachers(15), 0.3
    sequences = torch.randint(vocab, (4, 6), generator=torch.Generator().manual_seed(0))
    batch = from_real(sequences, vocab, both, kind="next", rank=15, event_share=share).decode()
    events = torch.nn.functional.one_hot(sequences[:, 1:], vocab)
    wanted = (1 - share) * expected_after(batch.inputs, both) + share * events
    assert divergence(wanted, batch.targets) < 1e-3


def test_without_teachers_the_next_real_event_is_the_target():
    vocab = 9
    sequences = torch.randint(vocab, (3, 5), generator=torch.Generator().manual_seed(0))
    for kind in ("free", "next"):
        batch = from_real(sequences, vocab, [], kind=kind, rank=9).decode()
        assert torch.equal(batch.inputs.argmax(-1), sequences[:, :-1])
        assert torch.equal(batch.targets.argmax(-1), sequences[:, 1:])


def test_expectations_are_the_mean_of_the_teachers_predictions():
    vocab = 9
    sequences = torch.randint(vocab, (2, 4), generator=torch.Generator().manual_seed(0))
    both = teachers(vocab)
    apart = [expectations(sequences, [teacher]) for teacher in both]
    torch.testing.assert_close(expectations(sequences, both), (apart[0] + apart[1]) / 2)


def test_an_unknown_kind_of_targets_is_named():
    with pytest.raises(ValueError, match="'soft'"):
        from_real(torch.zeros(1, 3, dtype=torch.long), 4, [], kind="soft", rank=2)
