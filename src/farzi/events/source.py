"""What is known of a published data set, and the check that a copy of it is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from farzi.errors import InputError
from farzi.events.data import EventData
from farzi.events.interactions import Preparation
from farzi.events.origins import Origin


@dataclass(frozen=True, kw_only=True)
class Form:
    """Another form in which a data set goes round, with fewer events.

    Args:
        preparation: which users and items are kept of it.
        num_events: how many events must be left.
    """

    preparation: Preparation
    num_events: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published data set.

    Args:
        name: what it is called here.
        description: what it holds, in a line.
        licence: the terms of its publisher.
        how_to_get: where the publisher offers it.
        preparation: which users and items the protocol keeps.
        num_users: how many users must be left.
        num_items: how many items must be left.
        num_events: how many events must be left.
        columns: the columns of user, item and time where they are not those of the format.
        forms: other forms with the same users and items, by the format that they are in.
        origins: where it is fetched from, the first one first; none where only the user can get it.
    """

    name: str
    description: str
    licence: str
    how_to_get: str
    preparation: Preparation
    num_users: int
    num_items: int
    num_events: int
    columns: Mapping[str, int | str] = field(default_factory=dict[str, int | str])
    forms: Mapping[str, Form] = field(default_factory=dict[str, Form])
    origins: tuple[Origin, ...] = ()

    def in_format(self, format: str) -> "Source":
        """Return what is known of this data set where it is read in a format, a key of ``READERS``."""
        form = self.forms.get(format)
        return self if form is None else replace(self, preparation=form.preparation, num_events=form.num_events)

    def check(self, data: EventData, path: Path) -> None:
        """Compare what was read from ``path`` and prepared with the published counts.

        Raises:
            InputError: they differ.
        """
        found = data.num_sequences, data.vocab_size, data.num_events
        expected = self.num_users, self.num_items, self.num_events
        if found != expected:
            raise InputError(
                f"{path} is not the published {self.name}: prepared, it has {_counts(*found)}, not "
                f"{_counts(*expected)}; get the file again (delete it first if it was fetched)"
            )


def _counts(num_users: int, num_items: int, num_events: int) -> str:
    return f"{num_users:,} users, {num_items:,} items and {num_events:,} events"


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """A published text.

    Args:
        name: what it is called here.
        description: what it holds, in a line.
        licence: the terms of its publisher.
        how_to_get: where the publisher offers it.
        files: what its files are called, one, or three for training, validation and testing.
        num_characters: characters of the files, line ends of one character each.
        tokenizer: what the protocol cuts it with.
        num_tokens: of the three parts, cut like this.
        vocab_size: of the training part, cut like this.
        origins: where it is fetched from, the first one first.
    """

    name: str
    description: str
    licence: str
    how_to_get: str
    files: tuple[str, ...]
    num_characters: int
    tokenizer: str
    num_tokens: tuple[int, int, int]
    vocab_size: int
    origins: tuple[Origin, ...] = ()

    def check(self, path: Path, num_characters: int, num_tokens: Sequence[int] = (), vocab_size: int = 0) -> None:
        """Compare what was read from ``path`` with the published counts.

        Args:
            path: where it was read from.
            num_characters: of all parts.
            num_tokens: of each part, if it was cut as the protocol says.
            vocab_size: of the training part, if it was cut so.

        Raises:
            InputError: they differ.
        """
        found, expected = f"{num_characters:,} characters", f"{self.num_characters:,} characters"
        if num_tokens:
            found += _token_counts(num_tokens, vocab_size)
            expected += _token_counts(self.num_tokens, self.vocab_size)
        if found != expected:
            raise InputError(
                f"{path} is not the published {self.name}: it has {found}, not {expected}; "
                "get the file again (delete it first if it was fetched)"
            )


def _token_counts(num_tokens: Sequence[int], vocab_size: int) -> str:
    return f", {' / '.join(f'{count:,}' for count in num_tokens)} tokens and a vocabulary of {vocab_size:,}"
