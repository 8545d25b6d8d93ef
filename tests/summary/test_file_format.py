"""The page that specifies the file (docs/file-format.md) says what the file is."""

import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from small_summary import make_measured, make_summary

from farzi.events import TOKENIZERS
from farzi.reading import MOST_HEADER_BYTES, MOST_NESTED
from farzi.summary import FORMAT_VERSION, Card, load

PAGE = (Path(__file__).parents[2] / "docs" / "file-format.md").read_text(encoding="utf-8")


BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("kind", ["free", "next"])
def test_a_file_is_a_data_set_of_pytorch(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    make_summary(kind).save("summary.safetensors")
    names: dict = {}
    exec(BLOCKS[0], names)
    length = 3 if kind == "free" else 2
    assert names["batch"].inputs.shape == names["inputs"].shape == (2, length, 4)
    assert torch.equal(names["targets"], make_summary(kind).factors.decode().targets)


@pytest.mark.parametrize("kind", ["free", "next"])
def test_numpy_alone_reads_the_same_distributions(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    make_summary(kind).save("summary.safetensors")
    block = BLOCKS[1]
    assert re.findall(r"^import (\w+)", block, re.MULTILINE) == ["json", "numpy"]
    names: dict = {}
    exec(block.replace("open(", "__import__('pathlib').Path(").replace(', "rb").read()', ").read_bytes()"), names)
    batch = load("summary.safetensors").factors.decode()
    for name, part in batch._asdict().items():
        np.testing.assert_allclose(names[name], part.numpy(), atol=1e-6)
    assert names["card"]["vocabulary"]["titles"][3] == "東京物語"


def test_the_page_names_every_field_and_limit():
    told = set(re.findall(r"^\| `([\w.]+)`", PAGE, re.MULTILINE))
    content = json.loads(json.loads(_header(make_measured().to_bytes()))["__metadata__"]["farzi"])
    assert told >= {name for name in content if name not in ("card", "vocabulary")}
    assert told >= {f"card.{field.name}" for field in fields(Card)}
    assert told >= {f"vocabulary.{name}" for name in content["vocabulary"]}
    assert told >= TOKENIZERS.keys()
    assert f"{MOST_HEADER_BYTES:,}" in PAGE
    assert f"nested more than {MOST_NESTED} deep" in PAGE
    assert f"This is version {FORMAT_VERSION}." in PAGE


def _header(content: bytes) -> bytes:
    return content[8 : 8 + int.from_bytes(content[:8], "little")]
