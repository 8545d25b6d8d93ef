"""Summaries on the Hugging Face Hub, played by a local folder: what goes up comes down, with a card that is right."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import torch
from small_summary import make_measured, make_summary

import farzi
from farzi.errors import InputError
from farzi.summary import dataset_card, load_from_hub, save_to_hub

huggingface_hub = pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")

OF_MOVIELENS = "GroupLens: for research; no redistribution and no commercial use without permission"


class Hub:
    """Repositories as folders. Calls that the real library would not take fail here too."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.folder, self.private, self.commits = folder, dict[str, bool](), 0
        api = create_autospec(huggingface_hub.HfApi, instance=True)
        api.create_repo.side_effect = self.create_repo
        api.repo_info.side_effect = lambda repo_id, *, repo_type: SimpleNamespace(private=self.private[repo_id])
        api.create_commit.side_effect = self.create_commit
        download = create_autospec(huggingface_hub.hf_hub_download, side_effect=self.download)
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)

    def create_repo(self, repo_id, *, repo_type, private, exist_ok):
        assert repo_type == "dataset"
        full = repo_id if "/" in repo_id else f"me/{repo_id}"
        assert exist_ok or full not in self.private
        self.private.setdefault(full, private)
        return huggingface_hub.RepoUrl(f"https://huggingface.co/datasets/{full}")

    def create_commit(self, repo_id, operations, *, commit_message, repo_type):
        assert repo_type == "dataset"
        self.commits += 1
        for one in operations:
            path = self.folder / repo_id / one.path_in_repo
            path.parent.mkdir(parents=True, exist_ok=True)
            with one.as_file() as content:
                path.write_bytes(content.read())

    def download(self, repo_id, filename, *, repo_type, revision):
        assert repo_type == "dataset"
        path = self.folder / repo_id / filename
        if not path.exists():
            raise huggingface_hub.errors.LocalEntryNotFoundError("no connection,\nand nothing in the cache")
        return str(path)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    return Hub(tmp_path / "hub", monkeypatch)


def test_what_was_saved_is_loaded(hub):
    summary = make_measured()
    assert save_to_hub(summary, "films") == "https://huggingface.co/datasets/me/films"
    assert {path.name for path in (hub.folder / "me/films").iterdir()} == {"summary.safetensors", "README.md"}
    assert hub.private == {"me/films": True}
    assert hub.commits == 1
    found = load_from_hub("me/films")
    assert found.card == summary.card
    assert torch.equal(found.factors.decoder, summary.factors.decoder)
    assert (hub.folder / "me/films/README.md").read_text() == dataset_card(summary, "me/films")


def test_the_cards_lines_train_a_model_on_what_they_load(hub):
    save_to_hub(make_summary(), "me/films")
    (block,) = re.findall(r"^```python\n(.*?)^```", dataset_card(make_summary(), "me/films"), re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(block, names)
    assert names["student"].steps == names["summary"].card.advice.steps
    assert names["student"].parameters["embedding"].shape == (4, 8)
    assert names["farzi"] is farzi


def test_a_card_tells_what_there_is():
    text = dataset_card(make_measured(), "me/films")
    content = huggingface_hub.DatasetCard(text).data.to_dict()
    assert content["license"] == "other"
    assert content["size_categories"] == "n<1K"
    assert content["viewer"] is False
    assert "| HR@10 | 98.0% |" in text
    assert "\n> CC BY 4.0\n" in text
    for told in ("2 synthetic sequences of 3 positions", "1,000 training events", '    "seed": 0', "sasrec"):
        assert told in text


def test_a_card_says_what_is_not_known():
    text = dataset_card(make_summary("next"), "me/films")
    assert huggingface_hub.DatasetCard(text).data.license == "unknown"
    assert "This was not measured." in text
    assert "\n> not known\n" in text
    assert "2 synthetic sequences of 2 positions" in text


def test_nothing_in_a_card_gets_out_of_its_place():
    card = replace(make_summary().card, data="a: b\n---\n# c", licence="one\n\n## two", origin={"note": "```\n## no"})
    text = dataset_card(replace(make_summary(), card=card), "me/films")
    assert huggingface_hub.DatasetCard(text).data.pretty_name == "Summary of a: b\n---\n# c"
    assert re.findall(r"^#.*$", text, re.MULTILINE) == [
        "# Summary of a: b --- # c",
        "## What it keeps",
        "## How to use it",
        "## How it was made",
        "## Terms",
    ]


@pytest.mark.parametrize(
    ("licence", "message"), [(OF_MOVIELENS, "no redistribution.*leave it private"), (None, "does not say.*terms")]
)
def test_only_what_may_be_passed_on_is_made_public(hub, licence, message):
    summary = replace(make_summary(), card=replace(make_summary().card, licence=licence))
    with pytest.raises(InputError, match=message):
        save_to_hub(summary, "me/films", private=False)
    assert not hub.private
    save_to_hub(summary, "me/films")
    save_to_hub(make_measured(), "me/open", private=False)
    assert hub.private == {"me/films": True, "me/open": False}


def test_nothing_is_put_into_a_public_repository_unasked(hub):
    save_to_hub(make_measured(), "me/films", private=False)
    with pytest.raises(InputError, match="me/films is public already"):
        save_to_hub(make_summary(), "me/films")
    assert hub.commits == 1


def test_what_goes_wrong_on_the_way_is_one_sentence(hub):
    with pytest.raises(InputError, match=r"^me/none could not be read .* \(no connection, and nothing in the cache\)$"):
        load_from_hub("me/none")
    save_to_hub(make_summary(), "me/films")
    (hub.folder / "me/films/summary.safetensors").write_bytes(b"<html>")
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load_from_hub("me/films")


def test_a_name_that_is_none_is_refused_before_anything_is_sent():
    with pytest.raises(InputError, match=r"^a/b/c could not be read on the Hugging Face Hub \(Repo id must"):
        load_from_hub("a/b/c")


@pytest.mark.parametrize("call", [lambda: save_to_hub(make_summary(), "a/b"), lambda: load_from_hub("a/b")])
def test_without_the_package_the_extra_is_named(monkeypatch, call):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'farzi\[hub\]'"):
        call()
