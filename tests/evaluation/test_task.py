"""What a task refuses, and how several seeds are summed up."""

from dataclasses import replace

import numpy as np
import pytest

from farzi.errors import InputError
from farzi.evaluation import NextItem, spread
from farzi.events import EventData, Vocabulary
from farzi.summary import Advice


def data_of(*sequences: str) -> EventData:
    letters = sorted(set("".join(sequences)))
    events = np.array([letters.index(letter) for letter in "".join(sequences)], dtype=np.int32)
    offsets = np.cumsum([0, *map(len, sequences)])
    return EventData("letters", events, offsets, Vocabulary(tuple(letters)))


@pytest.mark.parametrize(("part", "sequences"), [("validation", ("abcd", "efga")), ("testing", ("abac", "bafg"))])
def test_events_that_are_all_cold_are_refused(part, sequences):
    with pytest.raises(InputError, match=f"none of the 2 events of letters that are held out for {part} occurs"):
        NextItem(data_of(*sequences)).splits  # noqa: B018


def test_one_known_event_in_each_part_is_enough():
    assert NextItem(data_of("abab", "cdef")).splits.train.num_events == 4


def test_students_are_trained_as_a_card_advises_and_choose_their_steps_themselves():
    task = NextItem(data_of("abab", "cdef"))
    advice = Advice(lr=0.05, batch_size=7, steps=3, weight_decay=0.4, crop=0.6)
    found = task.as_advised(advice)
    assert found == replace(NextItem.student, lr=0.05, batch_size=7, weight_decay=0.4, crop=0.6)
    large = task.as_advised(replace(advice, batch_size=100))
    assert large == replace(found, batch_size=100, patience=2 * found.patience), (
        "the card's weight decay holds as it is"
    )


def test_the_standard_deviation_is_that_of_a_sample():
    assert spread([1.0, 2.0, 4.0]) == {"mean": 7 / 3, "std": pytest.approx((7 / 3) ** 0.5), "seeds": [1.0, 2.0, 4.0]}
    assert spread([3.0])["std"] == 0
