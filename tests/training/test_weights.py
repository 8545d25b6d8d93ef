"""Trained models as files: what is written comes back, and nothing else is taken for one."""

import pytest
import torch
from safetensors.torch import save_file

from farzi.errors import InputError
from farzi.events import Vocabulary
from farzi.models import SASRec
from farzi.training import load_weights, save_weights

MODEL = SASRec(dim=4, heads=2, max_length=5)
VOCABULARY = Vocabulary(("a", "b", "c"))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, MODEL, MODEL.init(3, 0), VOCABULARY)
    return path


def test_model_parameters_and_vocabulary_come_back(path):
    weights = load_weights(path)
    assert weights.model == MODEL
    assert weights.vocabulary_fingerprint == VOCABULARY.fingerprint
    expected = MODEL.init(3, 0)
    assert weights.parameters.keys() == expected.keys()
    assert all(torch.equal(weights.parameters[name], part) for name, part in expected.items())


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_a_file_cut_short_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load_weights(path)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (None, "not a model that farzi trained"),
        ({"farzi_model": "{"}, "damaged card"),
        ({"farzi_model": "[]"}, "damaged card"),
        ({"farzi_model": '{"model": {"name": "oracle"}, "vocabulary": ""}'}, "'oracle' is not one that farzi brings"),
        ({"farzi_model": '{"model": {"name": "sasrec", "dim": 0}, "vocabulary": ""}'}, "dim is 0"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, metadata, told):
    save_file({"embedding": torch.zeros(3, 4)}, tmp_path / "foreign", metadata=metadata)
    with pytest.raises(InputError, match=told):
        load_weights(tmp_path / "foreign")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a file"):
        load_weights(tmp_path / "nowhere")
