"""Downstream evaluations with models whose every probability is known; the fixtures are ours, in the publishers' schemas."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from task_files import HELLASWAG_ROWS, LAMBADA_ROWS, write

from golf.downstream.hellaswag import clean, hellaswag, question
from golf.downstream.lambada import lambada, split
from golf.downstream.perplexity import text_perplexity
from golf.downstream.rows import HELLASWAG, LAMBADA, STORIES, TEXT, find_file, read_rows
from golf.downstream.score import Request, encode_pair, score
from golf.downstream.tasks import named_tasks, run_tasks
from golf.errors import GolfError


class Bigram:
    """A byte model whose next byte depends on the last one only: `table` (256, 256) holds logits. Nothing stands before a text."""

    def __init__(self, table: torch.Tensor, context_tokens: int = 64, prefix: Sequence[int] = ()) -> None:
        self.table, self.context_tokens, self.prefix = table, context_tokens, prefix

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        assert ids.size(1) <= self.context_tokens
        return self.table[ids]

    def logprob(self, text: str, at: int) -> float:
        """Of byte `at` of a text, by the definition."""
        data = text.encode()
        return float(self.table[data[at - 1]].double().log_softmax(0)[data[at]])


def random_bigram(seed: int = 0, **more: Any) -> Bigram:
    return Bigram(torch.randn(256, 256, generator=torch.Generator().manual_seed(seed)), **more)


def test_a_continuation_scores_the_sum_of_its_bytes_and_the_context_scores_nothing() -> None:
    model = random_bigram()
    (found,) = score(model, [encode_pair(model, "ab", " cd")])
    assert found.tokens == 3
    assert found.logprob == pytest.approx(sum(model.logprob("ab cd", at) for at in (2, 3, 4)), rel=1e-6)


def test_spaces_at_the_end_of_the_context_belong_to_the_continuation() -> None:
    model = random_bigram()
    assert encode_pair(model, "ab  ", "cd") == encode_pair(model, "ab", "  cd")


def test_batches_and_their_padding_change_no_score() -> None:
    model = random_bigram()
    requests = [encode_pair(model, "x" * (1 + 7 * i % 23), " " + "y" * (1 + i % 5)) for i in range(20)]
    alone = [score(model, [request])[0] for request in requests]
    for batch_tokens in (1, 40, 10_000):
        together = score(model, requests, batch_tokens)
        assert [entry.logprob for entry in together] == pytest.approx([entry.logprob for entry in alone], rel=1e-6)
        assert [entry.greedy for entry in together] == [entry.greedy for entry in alone]


def test_too_long_a_text_loses_its_beginning_never_its_continuation() -> None:
    model = random_bigram(context_tokens=4)
    found = encode_pair(model, "abcdefgh", " ij")
    assert bytes(found.ids) == b"gh ij" and found.scored == 3
    assert score(model, [found])[0].logprob == pytest.approx(
        sum(model.logprob("gh ij", at) for at in (2, 3, 4)), rel=1e-6
    )


def test_without_context_the_prefix_or_nothing_precedes_the_first_token() -> None:
    assert encode_pair(random_bigram(prefix=(1,)), "", "ab") == Request((1, *b"ab"), 2)
    assert encode_pair(random_bigram(), "", "ab") == Request(tuple(b"ab"), 1)
    with pytest.raises(ValueError, match="adds no token"):
        encode_pair(random_bigram(), "ab", "")


@pytest.mark.parametrize(
    ("raw", "prepared"),
    [
        ("[header] How to knit [title] Choose wool. [step] Buy it.", " How to knit. Choose wool. Buy it."),
        ("  two  spaces ", "two spaces"),
        ("[a][b]x", "x"),
        ("no [open", "no [open"),
        ("a   b", "a  b"),  # three become two: replaced once, as upstream
    ],
)
def test_the_tasks_own_preparation(raw: str, prepared: str) -> None:
    assert clean(raw) == prepared


def test_a_question_is_label_and_contexts_with_a_capital() -> None:
    assert question(HELLASWAG_ROWS[0]) == (
        "Baking: She opens the oven. The cake",
        ["flies.", "has risen well.", "sings.", "votes."],
        1,
    )
    query, endings, label = question(HELLASWAG_ROWS[1])
    assert (query, endings[2], label) == ("Roof: A man climbs a ladder. He", "drinks it.", 3)
    assert question(HELLASWAG_ROWS[2])[0] == "Tea: Pour water"  # stripped first
    with pytest.raises(GolfError, match="label '' of 4 endings"):
        question({**HELLASWAG_ROWS[0], "label": ""})


def test_acc_and_acc_norm_differ_where_length_decides() -> None:
    # every byte costs ln 256: the shortest ending has the largest sum, and per character all are equal but for the space
    model = Bigram(torch.zeros(256, 256))
    rows = [{**HELLASWAG_ROWS[0], "endings": ["xxxxxxxx", "x", "xxxx", "xx"], "label": label} for label in (1, 0)]
    one, two = (hellaswag(model, [row]) for row in rows)
    assert (one["acc"], one["acc_norm"]) == (1, 0)  # "x": sum −2 ln 256, per character −2 ln 256
    assert (two["acc"], two["acc_norm"]) == (0, 1)  # "xxxxxxxx": sum −9 ln 256, per character −9/8 ln 256


def test_an_ending_follows_a_space() -> None:
    table = torch.zeros(256, 256)
    table[ord("e"), ord("v")] = 5.0  # without a space "vvv" would follow "The cake" best
    table[ord(" "), ord("h")] = 5.0
    row = {**HELLASWAG_ROWS[0], "endings": ["vvv", "hhh", "iii", "jjj"], "label": 1}
    assert hellaswag(Bigram(table), [row])["acc"] == 1


def test_hellaswag_by_hand_over_all_rows() -> None:
    model = random_bigram(4)
    hits = hits_norm = 0
    for row in HELLASWAG_ROWS:
        query, endings, label = question(row)
        sums = []
        for ending in endings:
            text = query.rstrip() + (" " if query.endswith(" ") else "") + " " + ending
            sums.append(sum(model.logprob(text, at) for at in range(len(query.rstrip()), len(text))))
        hits += max(range(4), key=sums.__getitem__) == label
        per = [total / len(ending) for total, ending in zip(sums, endings, strict=True)]
        hits_norm += max(range(4), key=per.__getitem__) == label
    found = hellaswag(model, HELLASWAG_ROWS)
    count = len(HELLASWAG_ROWS)
    assert (found["rows"], found["acc"], found["acc_norm"]) == (count, hits / count, hits_norm / count)
    share = hits / count
    assert found["acc_se"] == pytest.approx(math.sqrt(share * (1 - share) / (count - 1)))


def test_lambada_splits_at_the_last_space() -> None:
    assert split("the cat sat") == ("the cat", " sat")
    assert split("“one\ntwo three") == ("“one\ntwo", " three")
    for bad in ("word", "ends in space "):
        with pytest.raises(GolfError, match="no last word"):
            split(bad)


def test_lambada_asks_for_every_token_and_takes_the_perplexity_per_passage() -> None:
    table = torch.zeros(256, 256)
    for before, after in zip("e dog", " dog", strict=False):
        table[ord(before), ord(after)] = 5.0  # after "e": a space, then d, o, g
    model = Bigram(table, context_tokens=256)
    rows = [{"text": "the dog"}, {"text": "the dot"}]
    found = lambada(model, rows)
    assert found["acc"] == 0.5
    sums = [sum(model.logprob(row["text"], at) for at in range(3, 7)) for row in rows]
    assert found["perplexity"] == pytest.approx(math.exp(-sum(sums) / 2), rel=1e-5)
    assert lambada(random_bigram(2, context_tokens=256), LAMBADA_ROWS)["rows"] == 6


@pytest.mark.parametrize("context", [3, 7, 64])
def test_a_uniform_model_has_the_vocabularys_perplexity_and_eight_bits_a_byte(context: int) -> None:
    rows = [{"text": "héllo"}, {"text": "world!"}]
    found = text_perplexity(Bigram(torch.zeros(256, 256), context, prefix=(1,)), rows)
    assert found["token_ppl"] == pytest.approx(256) and found["bpb"] == pytest.approx(8)
    assert (found["documents"], found["tokens"], found["bytes"]) == (2, 12, 12)


def test_text_is_scored_once_whatever_the_window_and_the_prefix_never() -> None:
    rows = [{"text": "abcdefg"}, {"text": "hijklmnop"}]
    ids = [1, *b"abcdefg", 1, *b"hijklmnop"]
    for context in (2, 5, 8, 100):
        model = random_bigram(context_tokens=context, prefix=(1,))
        logprobs = model.table.double().log_softmax(1)
        nats = [-float(logprobs[a, b]) for a, b in pairwise(ids) if b != 1]
        found = text_perplexity(model, rows, batch_tokens=9)
        assert found["tokens"] == 16
        assert found["nats_per_token"] == pytest.approx(sum(nats) / 16, rel=1e-6)
        assert found["bpb"] == pytest.approx(sum(nats) / math.log(2) / 16, rel=1e-6)
    bare = text_perplexity(random_bigram(), rows)
    assert bare["tokens"] == 15  # nothing precedes the very first token
    with pytest.raises(GolfError, match="no token to score"):
        text_perplexity(random_bigram(), [{"text": "a"}])


def test_all_tasks_run_from_a_folder_of_files(tmp_path: Path) -> None:
    write(tmp_path / "hellaswag_val.jsonl", HELLASWAG_ROWS)
    write(tmp_path / "lambada_test.jsonl", LAMBADA_ROWS)
    write(tmp_path / "pile.jsonl", [{"text": "one two three", "meta": {"pile_set_name": "ours"}}] * 8)
    found = run_tasks(random_bigram(context_tokens=256), named_tasks("hellaswag,lambada,pile_ppl"), tmp_path, limit=6)
    assert list(found) == ["hellaswag", "lambada", "text_ppl"]
    assert (found["hellaswag"]["rows"], found["lambada"]["rows"], found["text_ppl"]["documents"]) == (6, 6, 6)
    assert found["text_ppl"]["file"] == str(tmp_path / "pile.jsonl")


@pytest.mark.parametrize(("data", "name"), [(HELLASWAG, "hellaswag_val"), (LAMBADA, "lambada_test"), (TEXT, "pile")])
def test_absent_data_names_the_file_its_fields_and_where_it_is_published(data: Any, name: str, tmp_path: Path) -> None:
    with pytest.raises(GolfError, match=rf"no `{name}.jsonl`.* in {tmp_path}") as caught:
        find_file(tmp_path, data)
    assert caught.value.hint is not None
    assert "https://" in caught.value.hint and all(field in caught.value.hint for field in data.fields)


def test_nothing_is_scored_when_a_file_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "hellaswag_val.jsonl", HELLASWAG_ROWS)
    with pytest.raises(GolfError, match="lambada: no"):
        run_tasks(None, ["hellaswag", "lambada"], tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "a b"}\nnot json\n', r":2 is not JSON: 'not json'"),
        ('{"txt": "a b"}\n', r":1 has no text"),
        ('["text"]\n', r":1 has no text"),
        ("\n\n", "holds no rows"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "lambada_test.jsonl"
    path.write_text(text)
    with pytest.raises(GolfError, match=message):
        read_rows(path, LAMBADA)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(GolfError, match="cannot be read"):
        read_rows(path, LAMBADA)


def test_task_names_are_checked_before_anything_else() -> None:
    assert named_tasks("lambada, hellaswag,lambada") == ["lambada", "hellaswag"]
    with pytest.raises(GolfError, match="no task is called `helaswag`") as caught:
        named_tasks("helaswag")
    assert caught.value.hint == "did you mean `hellaswag`?"


def test_stories_carry_the_publishers_fields() -> None:
    assert STORIES.fields == ("story1", "story2", "subject_title")
