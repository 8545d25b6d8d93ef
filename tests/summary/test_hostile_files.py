"""Whatever is not a summary's file is refused by one sentence, in bounded time and memory."""

import json
import os
import struct
import time
import tracemalloc

import pytest
from small_summary import make_summary, make_text, put_together, take_apart, with_card

from farzi import reading
from farzi.errors import InputError
from farzi.reading import MOST_HEADER_BYTES
from farzi.summary import load

GOOD = make_summary().to_bytes()
HEADER, TENSORS = take_apart(GOOD)


def edited(**changes) -> bytes:
    """The file with other entries in the table of tensors; None takes one out."""
    header = {name: HEADER[name] | changes.get(name, {}) for name in HEADER} | {
        name: told for name, told in changes.items() if name not in HEADER
    }
    return put_together(header, TENSORS)


def card(change) -> bytes:
    return with_card(GOOD, change)


def raw_card(text: str) -> bytes:
    return put_together(HEADER | {"__metadata__": {"farzi": text}}, TENSORS)


def with_scale(number: bytes) -> bytes:
    begin, _ = HEADER["latents_scale"]["data_offsets"]
    return put_together(HEADER, TENSORS[:begin] + number + TENSORS[begin + 2 :])


def without(*names: str) -> bytes:
    """The file without some of its tensors."""
    header, tensors = {"__metadata__": HEADER["__metadata__"]}, b""
    for name in HEADER.keys() - {"__metadata__", *names}:
        begin, end = HEADER[name]["data_offsets"]
        header[name] = HEADER[name] | {"data_offsets": [len(tensors), len(tensors) + end - begin]}
        tensors += TENSORS[begin:end]
    return put_together(header, tensors)


CARD = HEADER["__metadata__"]["farzi"]
END = [len(TENSORS), len(TENSORS) + 2]
DECODER = HEADER["decoder"]["data_offsets"]

HOSTILE = {
    "empty": (b"", "it ends within its header"),
    "cut short in the length": (GOOD[:5], "it ends within its header"),
    "cut short in the header": (GOOD[:100], "it ends within its header"),
    "cut short in the tensors": (GOOD[:-1], "not fully covered"),
    "more than the tensors": (GOOD + b"\0", "not fully covered"),
    "a header of 1 GB": (
        struct.pack("<Q", 2**30) + GOOD[8:],
        "header of 1,073,741,824 bytes is longer than 67,108,864",
    ),
    "a header of all there is": (b"\xff" * 8 + GOOD[8:], "header of 18,446,744,073,709,551,615 bytes"),
    "negative offsets": (edited(decoder={"data_offsets": [-16, 0]}), "-16"),
    "offsets beyond the end": (edited(decoder={"data_offsets": [0, 2**60]}), "offset"),
    "offsets beyond 64 bits": (edited(decoder={"data_offsets": [0, 2**64]}), "expected usize"),
    "offsets the wrong way": (edited(decoder={"data_offsets": DECODER[::-1]}), "decoder"),
    "overlapping tensors": (edited(latents={"data_offsets": HEADER["targets"]["data_offsets"]}), "invalid offset"),
    "shapes that overflow": (edited(latents={"shape": [2**32, 2**32, 2**32]}), "overflow"),
    "shapes that are negative": (edited(latents={"shape": [-2, -3, 2]}), "-2"),
    "shapes of nothing": (
        put_together(
            {"__metadata__": HEADER["__metadata__"]}
            | {
                name: told | {"shape": [0, 0, *told["shape"][2:]], "data_offsets": [0, 0]}
                for name, told in HEADER.items()
                if name != "__metadata__"
            },
            b"",
        ),
        "is empty",
    ),
    "whole numbers": (edited(decoder={"dtype": "I16"}), "decoder holds int16, not float16"),
    "another float": (edited(decoder={"dtype": "BF16"}), "decoder holds bfloat16, not float16"),
    "numbers without a sign": (edited(latents={"dtype": "U8"}), "latents holds uint8, not int8"),
    "an unknown type": (edited(latents={"dtype": "F17"}), "F17"),
    "a type that torch lacks": (edited(latents={"dtype": "F4", "shape": [2, 3, 4]}), "F4"),
    "not a number": (put_together(HEADER, b"\x00\x7e" + TENSORS[2:]), "decoder is empty or .* not finite"),
    "infinite": (put_together(HEADER, b"\x00\x7c" + TENSORS[2:]), "decoder is empty or .* not finite"),
    "a scale that is infinite": (with_scale(b"\x00\x7c"), "latents_scale is empty or .* not finite"),
    "a scale that is negative": (with_scale(b"\x00\xbc"), "latents_scale is negative"),
    "scales of another shape": (edited(latents_scale={"shape": [3, 2]}), "latents_scale .* another shape"),
    "no scales": (without("latents_scale", "targets_scale"), "the tensors are"),
    "a tensor that is a path": (
        put_together(
            {("../../latents" if name == "latents" else name): told for name, told in HEADER.items()}, TENSORS
        ),
        r"the tensors are \['../../latents'",
    ),
    "a tensor too many": (
        put_together(
            HEADER | {"more": {"dtype": "F16", "shape": [1], "data_offsets": END}},
            TENSORS + b"12",
        ),
        "the tensors are",
    ),
    "a tensor twice": (
        put_together(json.dumps(HEADER).replace('"latents"', '"decoder"').encode(), TENSORS),
        "'decoder' twice",
    ),
    "a card twice": (
        put_together(json.dumps(HEADER).replace("{", '{"__metadata__": {}, ', 1).encode(), TENSORS),
        "'__metadata__' twice",
    ),
    "a field twice": (raw_card(CARD.replace("{", '{"format": 2, ', 1)), "'format' twice"),
    "a header that is a list": (put_together([], TENSORS), "no JSON object"),
    "a header that is no JSON": (put_together(b"{" + b" " * 50, TENSORS), "Expecting property name"),
    "a header that is no UTF-8": (
        put_together(json.dumps(HEADER).encode().replace(b"decoder", b"d\xffcoder"), TENSORS),
        "can't decode byte 0xff",
    ),
    "a header in UTF-16": (put_together(json.dumps(HEADER).encode("utf-16"), TENSORS), "can't decode byte 0xff"),
    "a deep header": (put_together(b'{"a":' + b"[" * 10**6, TENSORS), "nested more than 32 deep"),
    "metadata that is no text": (put_together(HEADER | {"__metadata__": {"farzi": {}}}, TENSORS), "expected a string"),
    "a card that is a list": (raw_card("[]"), "card is no JSON object"),
    "a card that is no JSON": (raw_card("farzi"), "Expecting value"),
    "a deep card": (raw_card("[" * 10**6), "nested more than 32 deep"),
    "a deep origin": (card(lambda c: c["card"].update(origin=json.loads('{"a":' * 40 + "1" + "}" * 40))), "32 deep"),
    "half a character": (raw_card(CARD.replace("Brazil", "\\ud800")), "surrogates"),
    "a number that is none": (raw_card(CARD.replace("0.5", "NaN")), "NaN, which is no number"),
    "a number without end": (raw_card(CARD.replace("0.5", "9" * 5000)), "digits"),
    "a temperature that is infinite": (raw_card(CARD.replace("0.5", "1e999")), "temperature is inf"),
    "a temperature of nothing": (card(lambda c: c.update(temperature=0)), "temperature is 0"),
    "a temperature that is too small": (card(lambda c: c.update(temperature=1e-45)), "logits are not finite"),
    "a temperature that is a text": (card(lambda c: c.update(temperature="1")), "temperature is '1'"),
    "a format that is a text": (card(lambda c: c.update(format="2")), "format is '2'"),
    "a format of nothing": (card(lambda c: c.update(format=0)), "format is 0"),
    "targets of another kind": (card(lambda c: c.update(targets="next")), "targets is 'next'"),
    "targets of no kind": (card(lambda c: c.update(targets=["free"])), r"targets is \['free'\]"),
    "an unknown field": (card(lambda c: c.update(code="import os")), "unexpected keyword argument 'code'"),
    "an unknown field of the card": (card(lambda c: c["card"].update(path="/etc")), "argument 'path'"),
    "a field that is missing": (card(lambda c: c["card"].pop("data")), "missing .*'data'"),
    "a card of another kind": (card(lambda c: c.update(card=[])), "card is no JSON object"),
    "no fingerprint": (card(lambda c: c["vocabulary"].pop("fingerprint")), "fingerprint is not that of its ids"),
    "another fingerprint": (card(lambda c: c["vocabulary"].update(fingerprint="0" * 64)), "fingerprint is not that"),
    "another id": (card(lambda c: c["vocabulary"]["ids"].__setitem__(0, "z")), "fingerprint is not that of its ids"),
    "the same id twice": (card(lambda c: c["vocabulary"].update(ids=["a"] * 4)), "ids must be distinct"),
    "ids that are numbers": (card(lambda c: c["vocabulary"].update(ids=[1, 2, 3, 4])), "ids .* are no list of texts"),
    "ids in one text": (card(lambda c: c["vocabulary"].update(ids="abcd")), "ids .* are no list of texts"),
    "titles that are numbers": (card(lambda c: c["vocabulary"].update(titles=[1, 2, 3, 4])), "titles .* are no list"),
    "no events": (card(lambda c: c["card"].update(num_events=0)), "num_events is 0"),
    "a model without a name": (card(lambda c: c["card"].update(model={})), "name of the model is None"),
    "a rate that is negative": (card(lambda c: c["card"]["advice"].update(lr=-1)), "lr is -1"),
    "a rate that falls for longer than there is": (
        card(lambda c: c["card"]["advice"].update(decay=2)),
        "decay is 2; it must be between 0 and 1",
    ),
    "a weight decay below nothing": (
        card(lambda c: c["card"]["advice"].update(weight_decay=-0.1)),
        "weight_decay is -0.1; it must not be negative, and finite",
    ),
    "a crop that leaves nothing": (
        card(lambda c: c["card"]["advice"].update(crop=1.0)),
        "crop is 1.0; it must be at least 0 and below 1",
    ),
    "steps that are halves": (card(lambda c: c["card"]["advice"].update(steps=1.5)), "steps is 1.5"),
    "a licence that is no text": (card(lambda c: c["card"].update(licence=3)), "licence is 3"),
    "a retention of nothing": (card(lambda c: c["card"].update(retention={})), "missing 3 required"),
    "a retention that is a text": (
        card(lambda c: c["card"].update(retention={"student": "x", "seeds": 1, "kept": {"AUC": "all"}})),
        "AUC is 'all'",
    ),
    "a tokenizer of no kind": (card(lambda c: c.update(tokenizer={"kind": "magic"})), "'magic', not one of word"),
    "a tokenizer that is a text": (card(lambda c: c.update(tokenizer="word")), "tokenizer is no JSON object"),
    "a tokenizer of numbers": (
        card(lambda c: c.update(tokenizer={"kind": "bpe", "merges": [1]})),
        "merges are no list",
    ),
    "a tokenizer of another vocabulary": (card(lambda c: c.update(tokenizer={"kind": "char"})), "must have <unk>"),
    "a word that is half prepared": (
        with_card(make_text("word").to_bytes(), lambda c: c["tokenizer"].update(prepared="no")),
        "prepared is 'no'",
    ),
}


@pytest.mark.parametrize(("content", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_by_one_sentence(tmp_path, content, told):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told) as refusal:
        load(path)
    message = str(refusal.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    assert len(message) < 400


def test_what_follows_the_tensors_is_not_read(tmp_path):
    path = tmp_path / "sparse"
    path.write_bytes(GOOD)
    os.truncate(path, 2**36)
    tracemalloc.start()
    with pytest.raises(InputError, match="not fully covered"):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "round", tmp_path / ("a" * 5000), "/dev/zero", "a\0b"):
        with pytest.raises(InputError, match="is not a file"):
            load(path)


def test_a_header_that_is_too_long_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2**30))
        file.truncate(2**30 + 2**20)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(InputError, match="longer than"):
        load(path)
    assert time.process_time() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_vocabulary_that_has_no_room_is_not_saved(tmp_path, monkeypatch):
    assert MOST_HEADER_BYTES > 1_000_000 * 60
    monkeypatch.setattr("farzi.summary.artefact.MOST_HEADER_BYTES", 300)
    with pytest.raises(InputError, match=r"of films take [\d,]+ bytes, .* room for 300; leave out the titles"):
        make_summary().save(tmp_path / "summary")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(reading, "MOST_HEADER_BYTES", 300)
    (tmp_path / "summary").write_bytes(GOOD)
    with pytest.raises(InputError, match="longer than 300"):
        load(tmp_path / "summary")
