"""The page that specifies the file (docs/file-format.md) says what the file is."""

import json
import re
from dataclasses import fields

import numpy as np
import pytest
from small_summary import make_measured, make_summary

from documents import ROOT, run
from farzi.events import TOKENIZERS
from farzi.reading import MOST_HEADER_BYTES, MOST_NESTED
from farzi.summary import FORMAT_VERSION, Card, load

PAGE = (ROOT / "docs" / "file-format.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["free", "next"])
def test_the_pages_code_reads_distributions_by_torch_and_by_numpy_alone(tmp_path, kind):
    pytest.importorskip("datasets", reason="the extra hub is not installed")
    make_summary(kind).save(tmp_path / "summary.safetensors")
    names = run("docs/file-format.md", tmp_path).names
    batch = load(tmp_path / "summary.safetensors").factors.decode()
    assert names["batch"].inputs.shape == batch.inputs.shape == (2, 3 if kind == "free" else 2, 4)
    for name, part in batch._asdict().items():
        np.testing.assert_allclose(names[name], part.numpy(), atol=1e-6)
    assert isinstance(names["inputs"], np.ndarray)
    assert names["card"]["vocabulary"]["titles"][3] == "東京物語"


def test_ten_lines_and_numpy_are_all_that_reading_needs():
    section = PAGE.partition("## With numpy alone\n")[2].partition("\n## ")[0]
    reading, decoding = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert len([line for line in reading.splitlines() if line]) == 10
    assert re.findall(r"^import (\w+)", reading, re.MULTILINE) == ["json", "numpy"]
    assert "from " not in reading + decoding
    assert "import" not in decoding


def test_the_page_names_every_field_and_limit():
    told = set(re.findall(r"^\| `([\w.]+)`", PAGE, re.MULTILINE))
    content = json.loads(json.loads(_header(make_measured().to_bytes()))["__metadata__"]["farzi"])
    assert told >= {name for name in content if name not in ("card", "vocabulary")}
    assert told >= {f"card.{field.name}" for field in fields(Card)}
    assert told >= {f"vocabulary.{name}" for name in content["vocabulary"]}
    assert told >= TOKENIZERS.keys()
    prose = " ".join(PAGE.split())
    assert f"{MOST_HEADER_BYTES:,}" in prose
    assert f"nested more than {MOST_NESTED} deep" in prose
    assert f"This is version {FORMAT_VERSION}." in prose


def _header(content: bytes) -> bytes:
    return content[8 : 8 + int.from_bytes(content[:8], "little")]
