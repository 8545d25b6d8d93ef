"""Summaries on the Hugging Face Hub, each with a card that people can read (extra ``hub``)."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from textwrap import indent
from typing import Any

from farzi.errors import InputError
from farzi.reading import in_a_line
from farzi.summary.artefact import Summary, load
from farzi.summary.card import Card

_FILE = "summary.safetensors"
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def save_to_hub(summary: Summary, repo_id: str, *, private: bool = True) -> str:
    """Put a summary and its :func:`dataset_card` into a data set repository of the Hugging Face Hub, in one commit.

    It is you, as ``hf auth login`` or the environment's ``HF_TOKEN`` says, who uploads.

    Args:
        summary: what is uploaded.
        repo_id: ``name`` or ``owner/name`` of the repository, which is made where there is none.
        private: whether only its owners see it. A summary is made from real sequences, so that one whose card says ``no
            redistribution`` of the data, as those of MovieLens do, or nothing of its terms, cannot be made public.

    Returns:
        the repository's address.

    Raises:
        InputError: ``huggingface_hub`` is not installed, the summary cannot be made public, the repository is public
            where it should be private, the vocabulary is too large for a file, or the upload fails.
    """
    hub = _library()
    if not private:
        _check_terms(summary.card)
    content = summary.to_bytes()
    with _told(f"{repo_id} could not be written"):
        api = hub.HfApi()
        made = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        if private and not api.repo_info(made.repo_id, repo_type="dataset").private:
            raise InputError(f"{made.repo_id} is public already; give private=False, or the name of another repository")
        both = {_FILE: content, "README.md": dataset_card(summary, made.repo_id).encode()}
        files = [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=data) for name, data in both.items()]
        api.create_commit(made.repo_id, files, commit_message="Save a summary by farzi", repo_type="dataset")
    return str(made)


def load_from_hub(repo_id: str, *, revision: str | None = None) -> Summary:
    """Read a summary that :func:`save_to_hub` wrote; what was read before is kept in the Hub's cache.

    Args:
        repo_id: ``owner/name`` of the repository.
        revision: a commit, branch or tag; the newest commit by default.

    Returns:
        the summary, refused as :func:`farzi.load <farzi.summary.load>` does where it is damaged.

    Raises:
        InputError: ``huggingface_hub`` is not installed, there is no such repository, it cannot be reached, or holds no
            summary.
    """
    hub = _library()
    with _told(f"{repo_id} could not be read"):
        path = hub.hf_hub_download(repo_id, _FILE, repo_type="dataset", revision=revision)
    return load(path)


def dataset_card(summary: Summary, repo_id: str) -> str:
    """Describe a summary as the Hub shows it: YAML for machines, then what it is, keeps and asks, in Markdown.

    Args:
        summary: any.
        repo_id: ``owner/name`` of its repository, which the lines of Python that load it name.

    Returns:
        the text of its ``README.md``.

    Raises:
        InputError: ``huggingface_hub`` is not installed.
    """
    card, factors = summary.card, summary.factors
    told = _library().DatasetCardData(
        pretty_name=f"Summary of {card.data}",
        license="unknown" if card.licence is None else "other",
        license_name=None if card.licence is None else "terms-of-the-data",
        size_categories=next((name for most, name in _SIZES.items() if factors.num_sequences < most), "n>1M"),
        tags=["farzi", "data-distillation", "synthetic"],
        viewer=False,  # it has no reader of safetensors
    )
    return _PAGE.format(
        yaml=told.to_yaml(),
        data=_in_a_row(card.data),
        sequences=f"{factors.num_sequences:,}",
        length=f"{factors.length:,}",
        events=f"{card.num_events:,}",
        vocabulary=f"{factors.vocab_size:,}",
        targets="of their own" if factors.kind == "free" else "the next position's",
        bytes=f"{len(summary.to_bytes()):,}",
        model=_in_a_row(card.model["name"]),
        kept=_kept(card),
        repo_id=repo_id,
        advice=card.advice,
        made=indent(json.dumps({"model": dict(card.model), **card.origin}, indent=2, ensure_ascii=False), "    "),
        terms="not known" if card.licence is None else _in_a_row(card.licence),
    )


_PAGE = """\
---
{yaml}
---

# Summary of {data}

{sequences} synthetic sequences of {length} positions, made by farzi to stand in for {events} training events: a model
trained on them alone, from scratch, is meant to do nearly as well as one trained on everything. At each position stands
a distribution over {vocabulary} events, with targets {targets}. The file has {bytes} bytes.

## What it keeps

{kept}

## How to use it

```python
import farzi
from farzi.models import build_model

summary = farzi.load_from_hub("{repo_id}")
student = farzi.fit(build_model(summary.card.model), summary, seed=0)
```

It is trained on with Adam: {advice}. farzi's documentation
specifies the file, `summary.safetensors`, for those who read it by other means.

## How it was made

Distilled with {model}, by the method of Sachdeva et al. (2023, arXiv 2310.09983):

{made}

## Terms

Those of the data, as its publisher states them:

> {terms}

A summary holds the ids and titles of the data's events, and was begun from real sequences. What the terms of the data
say of passing it on holds for it too, and it does not promise anybody's privacy.
"""


def _kept(card: Card) -> str:
    if (measured := card.retention) is None:
        return "This was not measured."
    rows = "\n".join(f"| {_in_a_row(name)} | {share:.1%} |" for name, share in measured.kept.items())
    return f"""\
Measured on test data, by {measured.seeds} models ({_in_a_row(measured.student)}) trained on the summary alone: their
mean by that of models trained on all data, and for perplexity the inverse.

| metric | kept |
|---|---|
{rows}"""


def _in_a_row(text: str) -> str:
    """A text that stays in its line, or its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _check_terms(card: Card) -> None:
    if card.licence is None:
        raise InputError(
            f"the card does not say what the terms of {card.data} are, so its summary is not made public; put them "
            "into its licence, or leave it private"
        )
    if "no redistribution" in card.licence.lower():
        raise InputError(
            f"the terms of {card.data} are {card.licence!r}, so its summary is not made public; leave it private, or "
            "put into its licence what you are permitted"
        )


@contextmanager
def _told(what: str) -> Generator[None]:
    """Turn whatever the Hub's library raises into one sentence: its client, and so its errors, differ by release."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what} on the Hugging Face Hub ({in_a_line(error)})") from error


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(
            "the Hub needs the package huggingface_hub; install it with pip install 'farzi[hub]'"
        ) from error
    return huggingface_hub
