"""Scripts made ready for the CPU, vocabularies and texts of a known law, the environment of a small play: the parts of the harness."""

import ast
import math

import numpy as np
import pytest
from sentencepiece import SentencePieceProcessor

from golf.data.accounting import count_bytes, decode_bytes
from golf.harness.inside.fstrings import older
from golf.harness.inside.rewrite import for_cpu
from golf.harness.settings import class_sizes, environment, names_read, published
from golf.harness.texts import periodic_ids, text_of, uniform_text
from golf.harness.vocabulary import mixed, words


def rewritten(source, **sizes):
    return ast.unparse(for_cpu(source, "x.py", sizes))


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("x.to('cuda')", "x.to('cpu')"),
        ("d = torch.device(f'cuda:{rank}')", "d = torch.device('cpu')"),
        ("d = f'cuda:{rank}'", "d = 'cpu'"),
        ("init('nccl')", "init('gloo')"),
        ("a = x.is_cuda", "a = True"),
        ("x.is_cuda = 3", "x.is_cuda = 3"),
        ("t = zeros(1 << 22)", "t = zeros(1024)"),
        ("t = zeros(4194304)", "t = zeros(1024)"),
        ("f = [{'id': 1, 'dict_size': 1 << 22}]", "f = [{'id': 1, 'dict_size': 1 << 22}]"),
        ("z = compress(x, dict_size=1 << 23)", "z = compress(x, dict_size=1 << 23)"),
        ("f = {'slots': 1 << 22}", "f = {'slots': 1024}"),
        ("MAX_BYTES = 1 << 24", "MAX_BYTES = 1 << 24"),
        ("ok = size <= 16777216", "ok = size <= 16777216"),
        ("def f(ids, slots=65521):\n    pass", "def f(ids, slots=1024):\n    pass"),
        ("f(ids, n_slots=65521)", "f(ids, n_slots=1024)"),
        ("f(pin_memory=True)", "f(pin_memory=False)"),
        ("Adam(p, fused=True)", "Adam(p, fused=False)"),
        ("print(f'{x:.4f} {y:>8.2f}')", "print(f'{x:.12f} {y:>8.2f}')"),
        ("print('val %.4f' % x)", "print('val %.12f' % x)"),
        ("print('{:.6f}'.format(x))", "print('{:.12f}'.format(x))"),
        ("print(format(x, '.8f'))", "print(format(x, '.12f'))"),
        ("@torch.compile\ndef f():\n    pass", "def f():\n    pass"),
    ],
)
def test_a_source_is_made_ready_for_the_cpu(source, wanted):
    assert rewritten(source) == wanted


def test_sizes_in_classes_become_small_and_those_in_functions_stay():
    source = "class h:\n    model_dim = 512\n    softcap = 30.0\n\ndef f():\n    model_dim = 512"
    assert (
        rewritten(source, model_dim=64)
        == "class h:\n    model_dim = 64\n    softcap = 30.0\n\ndef f():\n    model_dim = 512"
    )


NEWER = {
    """x = {'a': 1.23456}; print(f"{x["a"]:.2f} and {", ".join(['b'])}")""": "1.23 and b\n",
    """n = 5; w = 8; print(f'{n:>{w}} {n!r} {{}} {n=}')""": "       5 5 {} n=5\n",
    """print("one " f"{1 + 1}" ' three')""": "one 2 three\n",
    """print(f"tab\\t{3}\\n", end="")""": "tab\t3\n",
}


@pytest.mark.parametrize("source", NEWER)
def test_newer_strings_print_what_they_print_on_a_newer_python(source, capsys):
    exec(compile(older(source), "x", "exec"), {})
    assert capsys.readouterr().out == NEWER[source]


@pytest.mark.parametrize("size", [16, 32, 64, 1024])
@pytest.mark.parametrize("make", [mixed, words])
def test_a_made_vocabulary_is_one_that_sentencepiece_reads_with_bytes_that_decoding_confirms(make, size):
    vocabulary = make(size)
    sp = SentencePieceProcessor(model_proto=vocabulary.model)
    assert sp.vocab_size() == size and sp.is_control(1) and sp.id_to_piece(1) == "<s>"
    assert len({sp.id_to_piece(each) for each in range(size)}) == size
    plain = np.array(
        [
            each
            for each in vocabulary.ids
            if not (sp.is_control(int(each)) or sp.is_unknown(int(each)) or sp.is_byte(int(each)))
        ]
    )
    ids = np.concatenate([[1], np.random.default_rng(0).choice(plain, 300)])
    text = text_of(vocabulary, ids)
    assert text.text_bytes == count_bytes(vocabulary.tables, ids) == decode_bytes(sp, ids)


def test_words_spell_their_tokens_in_one_way_only():
    sp = SentencePieceProcessor(model_proto=words(1024).model)
    spelled = [sp.id_to_piece(int(each)) for each in words(1024).ids]
    assert {len(piece) for piece in spelled} == {8} and len(set(spelled)) == 1020
    assert not set(spelled[0][1:]) & set("".join(piece[1:] for piece in spelled[1:]))


def test_a_text_of_a_known_law_has_the_nats_of_that_law():
    text = uniform_text(mixed(64), 500, 3)
    assert text.targets == 500 and text.ids[0] == 1 and text.law_nats == pytest.approx(500 * math.log(64))
    assert (
        uniform_text(mixed(64), 500, 3).ids.tolist()
        == text.ids.tolist()
        != uniform_text(mixed(64), 500, 4).ids.tolist()
    )
    ids = periodic_ids(mixed(64), 400, 1)
    assert 0.7 < np.mean(ids[42:] == ids[1 : len(ids) - 41]) < 0.95 and (ids[1:] > 3).all()


def test_what_a_submission_publishes_is_taken_over_and_sizes_go_on_top(tmp_path):
    (tmp_path / "README.md").write_text(
        "Run `RECALL_ORDER=5 TTT_LR='0.004' MODEL_DIM=512 UNREAD=3 torchrun x`; QK_GAIN=5.25.\n"
    )
    (tmp_path / "run.sh").write_text('export RECALL_SLOTS=4194304\nexport HOME_DIR="$HOME/x"\n')
    (tmp_path / "train.log").write_text("recall:order=7 slots=9\nppm:mix=0.3\n")
    names = names_read(
        [
            'get("RECALL_ORDER"); get("TTT_LR"), get("QK_GAIN") get("RECALL_SLOTS") get("HOME_DIR") get("PPM_MIX") get("MODEL_DIM")'
        ]
    )
    shown = published(tmp_path, names)
    assert shown == {
        "RECALL_ORDER": "5",
        "TTT_LR": "0.004",
        "QK_GAIN": "5.25",
        "RECALL_SLOTS": "4194304",
        "PPM_MIX": "0.3",
        "MODEL_DIM": "512",
    }
    values = environment(names, shown)
    assert values["MODEL_DIM"] == "64" and values["RECALL_SLOTS"] == "1024" and values["TTT_LR"] == "0.004"
    assert class_sizes(["class h:\n    hint_buckets = 70000\n"], 1024)["hint_buckets"] == 1024
