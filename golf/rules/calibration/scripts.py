"""Training scripts in the styles of the contest, written here: small, never run, only read by the static checks.

`script()` joins a legal skeleton with one family; LEGAL and ILLEGAL say what the checks must answer.
"""

import base64
import lzma
import zlib

from golf.rules.calibration.families import (
    ADAPT_FIRST,
    CALIBRATION,
    DRIVER,
    HASHED,
    HEAD,
    HINTS,
    LEGAL_TTT,
    MAIN,
    ORACLE,
    PPM,
    PREQUANT,
    SLOT,
    SMEAR,
    TILT,
)

PLAIN_EVALUATION = "val_loss, val_bpb = eval_val_sliding(args, base_model, 0, 1, 'cpu', val_tokens, *luts, stride=64)"


def script(*families: str, before: str = "pass", evaluation: str = PLAIN_EVALUATION, head: str = HEAD) -> str:
    """A whole script: the skeleton, the families' functions, and a main that calls them."""
    return head + "".join(families) + MAIN.replace("{before_quantization}", before).replace("{evaluation}", evaluation)


def call(function: str, *arguments: str) -> str:
    return f"{PLAIN_EVALUATION}\n    val_loss, val_bpb = {function}({', '.join(('args', 'base_model', *arguments))})"


TTT_CALL = call("eval_val_sliding_ttt", "0", "1", "'cpu'", "val_tokens", "*luts", "64")
LEGAL = {
    "plain": script(),
    "score-first TTT": script(LEGAL_TTT, evaluation=f"if args.ttt_enabled:\n        {TTT_CALL.splitlines()[-1].strip()}"),
    "dead SLOT behind an off switch": script(SLOT, evaluation=f"{PLAIN_EVALUATION}\n    if args.slot_enabled:\n        eval_val_slot(args, base_model, 'cpu', val_tokens, luts[0], 64)"),
    "dead n-gram cache behind an off switch": script(HASHED, evaluation=f"{PLAIN_EVALUATION}\n    if args.ngram_enabled:\n        eval_val_ngram(args, base_model, 'cpu', val_tokens, luts[0], 64)"),
    "dead pre-quant TTT, never called": script(PREQUANT),
    "gate by the previous token": script(TILT.format(gate="word_gate = starts_new_word_lut[val_tokens[i - 1]]"), evaluation=call("eval_val_tilt", "val_tokens", "*luts", "None")),
    "calibration on training data": script(CALIBRATION, before="hessians = collect_hessians(base_model, train_loader, 64)"),
    "calibration on generated text": script(CALIBRATION, before="ar_tokens = generate(base_model)\n    hessians = collect_hessians(base_model, ar_tokens, 64)"),
    "masked smear": script(SMEAR.format(mask="not_bos = (ids[:, 1:] != 1)[..., None]", times=" * not_bos")),
    "phased TTT with a driver": script(DRIVER, CALIBRATION, before="run()"),
    "token-only hints": script(HINTS, evaluation=f"build_hints(val_tokens, 16, 4194304)\n    {PLAIN_EVALUATION}"),
    "minimum of a schedule": script(before="lr = min(args.ttt_epochs, 3)\n    best_val_loss = min(1.0, 2.0)"),
    "a free port and a fallback": script(
        before="import socket\n    port = socket.socket().getsockname()\n    try:\n        import brotli\n    except ImportError:\n        os.system('pip install brotli')"
    ),
    "nvidia-smi and git logging": script(before="import subprocess\n    print(subprocess.run(['nvidia-smi'], capture_output=True))"),
}  # fmt: skip
ILLEGAL = {
    "pre-quant TTT": ("R36", script(PREQUANT, before="ttt_adapt_adamw(args, base_model, 'cpu', val_tokens)")),
    "adapt, then score": ("R32", script(ADAPT_FIRST, evaluation=call("eval_val_ttt", "val_tokens", "luts[0]"))),
    "SLOT": ("R37", script(SLOT, evaluation=call("eval_val_slot", "'cpu'", "val_tokens", "luts[0]", "64"))),
    "hashed cache": ("R38", script(HASHED, evaluation=call("eval_val_ngram", "'cpu'", "val_tokens", "luts[0]", "64"))),
    "target-gated tilt": ("R39", script(TILT.format(gate="word_gate = starts_new_word_lut[target]"), evaluation=call("eval_val_tilt", "val_tokens", "*luts", "None"))),
    "oracle minimum": ("R33", script(ORACLE, evaluation=call("eval_val_two", "base_model", "val_tokens"))),
    "byte-spread PPM": ("R41", script(PPM, evaluation=f"{PLAIN_EVALUATION}\n    mix_bytes([], [], None)")),
    "calibration on validation": ("R35", script(CALIBRATION, before="hessians = collect_hessians(base_model, val_tokens, 64)")),
    "trains on validation": ("R34", script().replace("DistributedTokenLoader(args.train_files,", "DistributedTokenLoader(args.val_files,")),
    "leading space twice": ("R20", script().replace('len(piece.encode("utf-8"))', 'len(piece.encode("utf-8")) + 1')),
    "byte tokens as three": ("R20", script().replace("base_bytes_np[token_id] = 1", "base_bytes_np[token_id] = 3")),
    "typed-in bytes per token": ("R20", script(before="val_bpb = 2.0 / math.log(2.0) / 2.44")),
    "part of validation": ("R21", script().replace('"VAL_DOC_FRACTION", 1.0', '"VAL_DOC_FRACTION", 0.2')),
    "cut validation tokens": ("R21", script(before="val_tokens = val_tokens[:3000000]")),
    "900 s": ("R05", script().replace('"MAX_WALLCLOCK_SECONDS", 600.0', '"MAX_WALLCLOCK_SECONDS", 900.0')),
    "downloads": ("R03", script(before="import urllib.request\n    urllib.request.urlretrieve('https://x.invalid/w.bin', 'w.bin')")),
    "pip install": ("R03", script(before="os.system('pip install brotli')")),
    "training data at eval": ("R04", script(LEGAL_TTT.replace("optimizer = torch", "prefill = load(args.train_files)\n    optimizer = torch"), evaluation=TTT_CALL)),
    "hints outside the timer": ("R07", script().replace("class Hyperparameters:", "class Hyperparameters:\n    ngram_hint_precompute_outside = bool(int(os.environ.get('NGRAM_HINT_PRECOMPUTE_OUTSIDE', '1')))")),
    "case-folded text": ("R24", script(before="text = open('d').read().casefold()")),
    "pretrained weights": ("R13", script(before="lm = AutoModel.from_pretrained('gpt2')")),
    "warm-up on validation": ("R43", script(before="warm = base_model(val_tokens[:2048][None], val_tokens[1:2049][None])\n    warm.backward()")),
    "order by loss": ("R23", script("\ndef eval_val_queue(args, base_model, val_tokens, docs, doc_loss):\n    docs.sort(key=lambda d: doc_loss[d])\n    return 0.0, 0.0\n", evaluation=call("eval_val_queue", "val_tokens", "[]", "{}"))),
}  # fmt: skip

BOTH = {
    "target-gated hints outside the timer": (
        "R39",
        ILLEGAL["target-gated tilt"][1].replace(
            "class Hyperparameters:",
            "class Hyperparameters:\n    ngram_hint_precompute_outside = bool(int(os.environ.get('NGRAM_HINT_PRECOMPUTE_OUTSIDE', '1')))",
        ),
    )
}


def packings(text: str) -> dict[str, bytes]:
    """`text` in the wrappers of the field."""
    raw = text.encode()
    xz, b85 = lzma.compress(raw), base64.b85encode
    bare = lzma.compress(raw, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}])
    latin = lzma.compress(raw, format=lzma.FORMAT_ALONE).decode("latin-1")
    for plain, escaped in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\x00"), ('"', '\\"')):
        latin = latin.replace(plain, escaped)
    return {
        "raw lzma, base85": f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(bare).decode()}"),format=L.FORMAT_RAW,filters=[{{"id":L.FILTER_LZMA2}}]))\n'.encode(),
        "xz, base85": f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(xz).decode()}")))\n'.encode(),
        "zlib, base64": f'import zlib,base64\nexec(zlib.decompress(base64.b64decode("{base64.b64encode(zlib.compress(raw)).decode()}")))\n'.encode(),
        "linecache": (
            f"import lzma as L,base64 as B,linecache as C\nS=L.decompress(B.b85decode('{b85(xz).decode()}')).decode()\n"
            "F=__file__+'.py'; C.cache[F]=(len(S),None,S.splitlines(True),F); exec(compile(S,F,'exec'))\n"
        ).encode(),
        "latin-1": f'#coding:l1\nimport lzma\nexec(lzma.decompress("{latin}".encode("l1")))\n'.encode("latin-1"),
    }  # fmt: skip
