"""Pairs of a record and runs of it elsewhere, made of public logs: the verdict that each deserves, and shares that add up."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from golf.logs import RunResult, read_log, read_text
from golf.reading.choice import folder_runs
from golf.repro import Explanation, Verdict, explain
from golf.repro.price import COMPRESSED, measured, public_pairs

RECORD = "records/track_10min_16mb/"
SMEAR = RECORD + "2026-04-29_SmearGateBOSFix_3Seed_1.06141"
FIVE = RECORD + "2026-04-22_SP8192_CaseOps_GatedAttn_QuantGate_Loop45_PhasedTTT_MLPClip12"
NUMBERS = re.compile(r"(val_loss: ?)([\d.]+)( val_bpb: ?)([\d.]+)")
SCRIPT = '"""A script."""\nLR = 0.026  # of matrices\n\n\ndef main():\n    print(LR)\n'
Runs = Mapping[str, RunResult]


@pytest.fixture(scope="module")
def smear(shared: Path) -> tuple[Runs, Runs]:
    """(#1851's script on three seeds, the same on them again with a longer reserve): @Christopher-Lee-McClendon's folder of #1868."""
    sides = []
    for names in (
        ("1234_original", "314_original", "42_pr1851_original"),
        ("1234_rerun_gptq8s", "314_rerun_gptq8s", "42_rerun_gptq8s"),
    ):
        runs = [read_log(shared / SMEAR / f"train_seed{name}.log").run for name in names]
        sides.append({str(run.seed): run for run in runs if run is not None})
    return sides[0], sides[1]


@pytest.fixture(scope="module")
def five(shared: Path) -> dict[str, str]:
    """The texts of #1769's five seeds."""
    return {seed: (shared / FIVE / f"train_seed{seed}.log").read_text() for seed in ("1", "314", "777", "1337", "2025")}


def moved(text: str, by: float, since: str = "stopping_early") -> str:
    """The log with every evaluation from the first line that holds `since` on moved by so many BPB, losses along."""
    lines = text.splitlines(keepends=True)
    start = next(place for place, line in enumerate(lines) if since in line)

    def shift(found: re.Match[str]) -> str:
        loss, bpb = float(found[2]), float(found[4])
        digits = len(found[4].partition(".")[2])
        return f"{found[1]}{loss * (bpb + by) / bpb:.{digits}f}{found[3]}{bpb + by:.{digits}f}"

    # the last validation stands just above the line of the clock
    first = start - 1 if since == "stopping_early" else start
    return "".join(lines[:first]) + NUMBERS.sub(shift, "".join(lines[first:]))


def slower(text: str, share: float) -> str:
    """The log of a machine that made this share of the steps in the same time."""

    def fewer(found: re.Match[str]) -> str:
        return f"{found[1]}{round(int(found[2]) * share)}{found[3]}"

    return re.sub(
        r"((?:step: ?)?\b)(\d{4,5})(/20000)", lambda found: fewer(found) if int(found[2]) > 4500 else found[0], text
    )


def runs_of(texts: Mapping[str, str], edit: Callable[[str], str] = lambda text: text) -> dict[str, RunResult]:
    found = {seed: read_text(edit(text)).run for seed, text in texts.items()}
    return {seed: run for seed, run in found.items() if run is not None}


def halves(five: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    return {seed: five[seed] for seed in ("1", "1337", "777")}, {seed: five[seed] for seed in ("314", "2025", "777")}


def checked(found: Explanation) -> Explanation:
    """The shares add up to the gap, each is finite, and the last is what is left open."""
    if found.gap is not None:
        assert sum(share.bpb for share in found.shares) == pytest.approx(found.gap, abs=1e-12)
        assert found.shares[-1].name == "unexplained" and found.error is not None and found.error > 0
    return found


def share(found: Explanation, name: str) -> float:
    return sum(one.bpb for one in found.shares if one.name == name)


def test_the_same_script_on_the_same_seeds_again(smear: tuple[Runs, Runs]) -> None:
    """A longer reserve is the clock's, and shows; the number comes out again, either way round."""
    for published, obtained in (smear, smear[::-1]):
        whole = {seed: published[seed] for seed in ("1234", "314")}, {seed: obtained[seed] for seed in ("1234", "314")}
        found = checked(explain(*whole))
        assert found.verdict is Verdict.REPRODUCED
        assert {one.kind for one in found.differences} == {
            "code",
            "clock",
        }  # another count of bytes of code, and the reserve
        assert found.steps[0] != found.steps[1] and share(found, "steps") != 0


def test_other_seeds(five: dict[str, str]) -> None:
    published, obtained = ({seed: five[seed] for seed in seeds} for seeds in (("1", "1337", "2025"), ("314", "777")))
    found = checked(explain(runs_of(published), runs_of(obtained)))
    assert found.verdict is Verdict.REPRODUCED and not found.differences


def test_some_of_the_seeds_are_a_choice_with_a_share_of_its_own(five: dict[str, str]) -> None:
    """Running the record's best seed alone moves the mean by what the record itself says."""
    published = runs_of(five)
    again = runs_of({"314": five["314"]}, lambda text: slower(moved(text, 0.0001), 0.9999))
    found = checked(explain(published, again))
    assert found.verdict is Verdict.REPRODUCED
    assert share(found, "choice of seeds") == pytest.approx(1.06356801 - 1.06452625, abs=2e-5)


def test_other_train_shards(smear: tuple[Runs, Runs]) -> None:
    """#1851's one seed trained on 39 of 80 shards; its number is near, and it is another experiment."""
    found = checked(explain({"42": smear[0]["42"]}, {"42": smear[1]["42"]}))
    assert found.verdict is Verdict.DATA and "39 → 80" in found.why


def test_another_validation_set(five: dict[str, str]) -> None:
    first, second = halves(five)
    found = checked(
        explain(
            runs_of(first), runs_of(second, lambda text: text.replace("val_tokens: 47851520", "val_tokens: 9662464"))
        )
    )
    assert found.verdict is Verdict.DATA and "47,851,520 → 9,662,464" in found.why


def test_the_same_losses_over_other_bytes(five: dict[str, str]) -> None:
    """A wrong byte count moves the score and no loss: its share is the gap."""
    first, _ = halves(five)

    def counted(text: str) -> str:
        return NUMBERS.sub(lambda one: f"{one[1]}{one[2]}{one[3]}{float(one[4]) * 0.95:.8f}", text).replace(
            "train_time: 6", "train_time: 5"
        )

    found = checked(explain(runs_of(first), runs_of(first, lambda text: counted(slower(text, 0.9999)))))
    assert found.verdict is Verdict.DATA and "bytes per token" in found.why
    assert share(found, "bytes per token") == pytest.approx(found.gap, rel=0.02)


@pytest.mark.parametrize(("share_of_steps", "by"), [(0.9, 0.0022), (0.8, 0.0045), (1.15, -0.0030)])
def test_another_pace(five: dict[str, str], share_of_steps: float, by: float) -> None:
    """Fewer steps through a whole schedule: the price measured on public runs gives the gap, and more steps give it back."""
    first, second = halves(five)
    found = checked(explain(runs_of(first), runs_of(second, lambda text: slower(moved(text, by), share_of_steps))))
    assert found.verdict is Verdict.HARDWARE, found.why
    assert share(found, "steps") / by == pytest.approx(1, abs=0.4) and abs(found.sds or 0) < 2.5


def test_a_schedule_that_was_cut_short(five: dict[str, str]) -> None:
    """A tenth of the steps missing at the slope of the warmdown itself: more than a compressed schedule, less than the slope."""
    first, second = halves(five)
    found = checked(explain(runs_of(first), runs_of(second, lambda text: slower(moved(text, 0.012), 0.9))))
    assert found.verdict is Verdict.HARDWARE and "cut short" in found.why
    far = checked(explain(runs_of(first), runs_of(second, lambda text: slower(moved(text, 0.06), 0.9))))
    assert far.verdict is Verdict.NOT_REPRODUCED and "at most" in far.why
    wrong_way = checked(explain(runs_of(first), runs_of(second, lambda text: slower(moved(text, 0.006), 1.1))))
    assert wrong_way.verdict is Verdict.NOT_REPRODUCED


def test_a_shorter_clock_is_a_setting(five: dict[str, str]) -> None:
    first, second = halves(five)

    def short(text: str) -> str:
        return slower(moved(text, 0.0045), 0.8).replace("max_wallclock_seconds: 600.0", "max_wallclock_seconds: 480.0")

    found = checked(explain(runs_of(first), runs_of(second, short)))
    assert found.verdict is Verdict.CODE and "max_wallclock_seconds" in found.why


@pytest.mark.parametrize("by", [0.0, 0.004])
def test_a_changed_constant_that_the_log_prints(five: dict[str, str], by: float) -> None:
    first, second = halves(five)
    found = checked(
        explain(
            runs_of(first),
            runs_of(second, lambda text: moved(text, by).replace("matrix_lr: 0.026", "matrix_lr: 0.030")),
        )
    )
    assert found.verdict is Verdict.CODE and "matrix_lr 0.026 → 0.030" in found.why


def test_a_changed_constant_in_the_script(five: dict[str, str]) -> None:
    """What it means is compared, not how it is written."""
    first, second = (runs_of(half) for half in halves(five))
    found = checked(explain(first, second, (SCRIPT, SCRIPT.replace("0.026", "0.03"))))
    assert found.verdict is Verdict.CODE and "LR = 0.026" in found.why and "LR = 0.03" in found.why
    laid_out = SCRIPT.replace("# of matrices", "# another word").replace("A script", "The script") + "\n\n"
    assert checked(explain(first, second, (SCRIPT, laid_out))).verdict is Verdict.REPRODUCED


def test_a_gap_that_nothing_gives(five: dict[str, str]) -> None:
    first, second = halves(five)
    found = checked(explain(runs_of(first), runs_of(second, lambda text: moved(text, 0.005))))
    assert found.verdict is Verdict.NOT_REPRODUCED and abs(found.sds or 0) > 4


def test_a_gap_of_the_quantization_alone(five: dict[str, str]) -> None:
    first, second = halves(five)
    found = checked(
        explain(runs_of(first), runs_of(second, lambda text: moved(text, 0.005, since="Serialized model quantized")))
    )
    assert found.verdict is Verdict.NOT_REPRODUCED
    assert share(found, "quantization") == pytest.approx(0.005, abs=2e-4) and abs(found.sds or 0) < 3


def test_what_cannot_be_told(five: dict[str, str], shared: Path) -> None:
    """Logs that break off, no logs, the record's own logs given back, and a row of which only the score is known."""
    first, second = halves(five)
    own = runs_of(first)
    for obtained in (runs_of(second, lambda text: text[: text.index("stopping_early")]), {}, own):
        found = explain(own, obtained)
        assert found.verdict is Verdict.CANNOT_TELL and found.gap is None
    given_back = explain(own, own)
    assert "own run" in given_back.notes[0] and not given_back.differences  # nothing was run, so nothing differs
    bare = {
        seed: read_text(f"seed: {seed}\nfinal_int6_roundtrip_exact val_loss:{run.val_loss} val_bpb:{run.val_bpb}\n").run
        for seed, run in own.items()
    }
    found = checked(explain(own, {f"{seed}0": run for seed, run in bare.items() if run is not None}))
    assert found.verdict is Verdict.CANNOT_TELL and "same script" in found.why


def test_another_record_is_other_code(shared: Path) -> None:
    one, other = (
        folder_runs(shared / RECORD / name)
        for name in ("2026-04-13_VarLenAttn_PhasingTTT2000", "2026-04-10_VarLenAttn")
    )
    for found in (explain(one, other), explain(other, one)):
        assert checked(found).verdict is Verdict.CODE and "global_ttt" in found.why


def test_the_price_of_a_step_is_the_one_that_the_logs_give(shared: Path) -> None:
    """Six pairs of public runs of one model and seed; a step of 4,900 is then worth 3.9e-6 ± 1.0e-6 BPB."""
    price = measured(public_pairs(shared / "records"))
    assert (price.n, round(price.bpb, 5), round(price.error, 5)) == (COMPRESSED.n, COMPRESSED.bpb, COMPRESSED.error)
    assert COMPRESSED.of(4900, 4899)[0] == pytest.approx(3.9e-6, abs=1e-7)
    with pytest.raises(ValueError, match="two pairs"):
        measured([])
