"""A script's trial: which experiments are run at which depth, within a budget of seconds, and what each one showed.

Everything is computed here, from what the box's plays printed and wrote; nothing that runs in the box computes a verdict.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from golf.errors import GolfError
from golf.harness.box import Box
from golf.harness.texts import PERIOD, Ids, Text, periodic_ids, text_of, uniform_text
from golf.harness.vocabulary import Vocabulary, mixed, of_model, words
from golf.harness.whole import Played, Whole, Wish
from golf.rules.experiments.kraft import CUT, Sums, bits_nats, loss_nats, sums, total_nats
from golf.rules.experiments.law import (
    CONVICTS_NATS,
    DOUBTFUL_NATS,
    FEW_TARGETS,
    MOST_REPEATED_TARGETS,
    Covered,
    Gain,
    Kind,
    bits_gain_of,
    covered,
    gain_of,
    near_bytes,
    unsure_share,
)
from golf.rules.experiments.printed import Printed, printed_scores

SMALL_VOCABULARY, LARGE_VOCABULARY, KRAFT_VOCABULARY = 64, 1024, 16
BLIND_STEPS, BLIND_TRAIN_TARGETS = 10, 1_100  # a batch of a small play is 1,024 tokens
TARGETS, TRAIN_TARGETS, SHORT_TARGETS, KRAFT_TARGETS = 8192, 24_000, 1024, 190
ODD_TARGETS = 499  # sizes are drawn with the seed: no script can wait for one of them
BUDGET_SECONDS: Mapping[str, float] = {"quick": 30.0, "default": 120.0, "deep": 600.0}
AMPLIFIED, QUIET = 30.0, 0.3
DEFICIT_NATS = 20.0
SURE_SHARE, STEADY_SHARE = 1e-6, 1e-4  # of a factor: how well it must be printed, and how far from one it must lie
CHANCES = 100.0  # of a number of targets that fits: so many times what digits leave open of a byte
MOST_CHANCE, LEAST_CHANCE = 0.01, 1e-6  # of what is called proven, and of what convicts
MISCOUNT = 0.03  # of the bytes: what an untrained model lacks makes them fewer, never more
MOST_RATES, LEAST_RATE, TELLS_NATS = 5, 4.0, 0.01
SOME_NATS, LONGER, LONGEST = 2.0, 4, 16  # chance gives a lawful score that much in one of eight runs
SHAKEN, SHAKES = 1.0 + 1e-7, 4.0  # a factor on tables; how many times what it moves a total a sum must be above one
MOST_NATS = 12.0  # a target: beyond, what adapts has run away
SHORT_WINDOW = 32
WINDOW_STEP = 8  # windows are multiples of it
KNOWN = 4  # tokens before a cut that came before, a period ago
E5 = "E5 one more token"
SHORT: Mapping[str, str] = MappingProxyType({
    "TTT_CHUNK_TOKENS": "64", "TTT_CHUNK_SIZE": "64",
    "TRAIN_BATCH_TOKENS": "256", "VAL_BATCH_SIZE": "256", "VAL_BATCH_TOKENS": "256",
})  # fmt: skip
FLOAT_SHARE = 1e-3  # of a total: some thousand losses summed in float32
TRAINED, TRAINING_STEPS = "after training", 100
CHEAP_SECONDS = 2.5  # CPU; of a run, so that the short form has room for more than one
ANOTHER_TEXT, SWAPPED = "E4 on another text", "E3 with another run's artifact"
SHORT_FORM = ("E1 on bytes", "E1 amplified", "E3", "E4")  # of what costs more
OVERHEAD_SECONDS = 0.02  # of a play, outside it
LATE_CALL_SECONDS = (150.0, 10.0)  # of each look at the clock: some windows of a small play, then minutes are over
EARLY_SHARE = 0.25  # of the budget that is left: what one experiment may take before others had their turn
SAME_SHARE = 1e-6  # of a score: two runs of one artifact differ by arithmetic alone


@dataclass(frozen=True)
class Gained:
    """E1 in one setting: what it was, and the gain of every printed score."""

    setting: str
    targets: int
    gains: tuple[Gain, ...]


@dataclass(frozen=True)
class Coverage:
    """E4 of one printed score on a text of so many targets and bytes."""

    score: Printed
    covered: Covered
    targets: int
    text_bytes: int


@dataclass(frozen=True)
class Steady:
    """E4 on several texts: loss and bits differ by one factor on all of them. of_text: it is of the text's bytes, else of its targets."""

    factor: float
    of_text: bool


@dataclass(frozen=True)
class Reading:
    """E3: whether the run read back what it wrote, and what its twins printed that read garbage there or loaded disturbed tensors.

    wrote: files; read: of these, read back; unread: of these, read by nothing, by their times of access; used: whether tensors were
    unpacked or loaded at all; garbage, disturbed: the scores of that twin, None where there was none; alone: of the twin that went on in an
    empty folder with what ships and the last file that was read back; swapped: the score of a run that had trained on another text and read
    what an earlier run had written, beside the score of that run.
    """

    wrote: tuple[str, ...]
    read: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    used: bool = False
    garbage: tuple[Printed, ...] | None = None
    disturbed: tuple[Printed, ...] | None = None
    alone: tuple[Printed, ...] | None = None
    swapped: tuple[Printed, Printed] | None = None
    follows: bool = False

    @property
    def keeps_more(self) -> bool:
        """Whether the score is not that of the artifact: another run's, read in place of the own one, does not come to its score."""
        return self.swapped is not None and not _is_same(*self.swapped)


@dataclass(frozen=True)
class Blind:
    """E2: files that differ between two validation texts, though they do not between two runs on one; None: not to be told."""

    files: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Future:
    """E6: the total of a text by the claimed score, and of the same text with itself behind it. What is behind can add to a code's length,
    never take from it, however the code adapts: no probability is above one. slack_nats: what counting edges and float32 may do.
    """

    score: Printed
    alone_nats: float
    longer_nats: float
    slack_nats: float

    @property
    def convicts(self) -> bool:
        """Whether more text costs less: later tokens have changed the price of earlier ones."""
        return self.longer_nats < self.alone_nats - self.slack_nats


@dataclass
class Trial:
    """What the experiments showed. fault: why the script did not run whole; seed: drawn for this trial."""

    depth: str
    seed: int
    fault: str | None = None
    scores: tuple[Printed, ...] = ()
    gained: list[Gained] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)
    others: list[Coverage] = field(default_factory=list)  # of the plays on other texts than the first
    hurried: Coverage | None = None  # of the first text again, with a clock that runs out once it has packed
    looks_at_clock: bool = False  # more than once or twice after it has packed
    reading: Reading | None = None
    blind: Blind | None = None
    kraft: Sums | None = None
    future: Future | None = None
    own_text: bool = False  # it draws its text itself
    reads_tokenizer: bool = False
    official_tokenizer: bool = False
    left_out: list[str] = field(default_factory=list)
    shown: Mapping[str, str] = field(default_factory=dict)  # what the submission publishes and the play took over
    late_optimizers: bool = False
    unowned: tuple[str, ...] = ()  # parameters of the model that no optimizer of its training has
    processes_left: int = 0
    programs: tuple[str, ...] = ()
    plays: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of all plays
    claimed: frozenset[str] = frozenset()  # labels of the lines that the claim rests on; empty: unknown

    def rests_on(self, score: Printed) -> bool:
        """Whether the claim rests on this line: by the label of the line that backs it in the logs, else the last score printed."""
        known = self.claimed & {each.label for each in self.scores}
        if known:
            return score.label in known
        return bool(self.scores) and score.label == self.scores[-1].label

    def miscounts(self, each: Coverage) -> float | None:
        """The share by which bits alone count more bytes than there are, where an untrained model prints them; None where it does not.

        Such a model needs what the law needs, and some nats more: so its bits tell how many bytes they were divided by.
        """
        score = each.score
        if score.loss is not None or not score.bpb or not math.isfinite(score.bpb) or not each.text_bytes:
            return None
        counted = each.targets * math.log(LARGE_VOCABULARY) / (math.log(2.0) * score.bpb)
        share = counted / each.text_bytes - 1.0
        return share if share > MISCOUNT else None

    def steady(self, each: Coverage) -> Steady | None:
        """What the quotient of loss and bits comes to on every text alike, where it is not that of the bytes: so many bytes a target, or so
        many times the bytes; None where it is neither, or where one text only was scored. Digits that say less than a millionth are none,
        nor do texts whose own bytes a target are alike.
        """
        two = [each, *(other for other in self.others if other.score.label == each.score.label)]
        told = [(one, one.covered.implied_bytes) for one in two if one.covered.implied_bytes and one.text_bytes]
        if len({(one.targets, one.text_bytes) for one, _ in told}) < 2:
            return None
        if max(unsure_share(one.score) for one, _ in told) > SURE_SHARE:
            return None
        own = [one.text_bytes / one.targets for one, _ in told]
        for whole, sizes in ((False, [one.targets for one, _ in told]), (True, [one.text_bytes for one, _ in told])):
            ratios = [implied / size for (_, implied), size in zip(told, sizes, strict=True)]
            says_more = abs(ratios[0] - 1.0) >= STEADY_SHARE if whole else max(own) - min(own) > STEADY_SHARE * min(own)
            if says_more and max(ratios) - min(ratios) <= SURE_SHARE * min(ratios):
                return Steady(ratios[0], whole)
        return None

    def texts_of(self, each: Coverage) -> list[Coverage]:
        """What the same line says of every text that was scored, this one first; each text once."""
        every = [one for one in (*self.coverage, *self.others) if one.score.label == each.score.label]
        same = [each, *(one for one in every if one.covered.kind is not Kind.UNTOLD)]
        return list({(one.targets, one.text_bytes): one for one in reversed(same)}.values())[::-1]

    def counts(self, each: Coverage) -> bool:
        """Whether loss and bits are of targets and their bytes on every text, and not by chance: some number of targets at the edge of a text fits
        any quotient, if it is printed with few digits; a whole text hardly any.
        """
        told = [(one, self.told(one)) for one in self.texts_of(each)]
        by_chance = math.prod(
            min(CHANCES * near_bytes(one.score, covers), 1.0) for one, covers in told if covers.kind is not Kind.WHOLE
        )
        return all(covers.exact and covers.kind is not Kind.BYTES for _, covers in told) and (
            by_chance < MOST_CHANCE or all(covers.kind is Kind.WHOLE for _, covers in told)
        )

    def other_bytes(self, each: Coverage) -> Coverage | None:
        """A text of which other bytes are counted, a whole number of them on more texts than chance makes; None where that is not told."""
        texts = self.texts_of(each)
        found = [one for one in texts if self.told(one).kind is Kind.BYTES]
        by_chance = math.prod(2.0 * near_bytes(one.score, one.covered) for one in found)
        return found[0] if found and math.comb(len(texts), len(found)) * by_chance < LEAST_CHANCE else None

    def leaves_out(self, each: Coverage) -> tuple[str, int, Coverage] | None:
        """What is left out of more texts than one, how many targets are scored then, and of which text; None where no guess fits two.

        A thousand guesses are tried on each text: of bits that are not those of the loss one fits by chance, but not the same one twice.
        """
        texts = [one for one in self.texts_of(each) if self.told(one).kind is Kind.LEFT_OUT]
        for one in reversed(texts):
            for guess in one.covered.left_out:
                if sum(any(guess.agrees(other) for other in two.covered.left_out) for two in texts) > 1:
                    return guess.what, guess.targets, one
        return None

    def told(self, each: Coverage) -> Covered:
        """What a score covers. A factor that is one number on every text, 2.45 bytes a target, is by chance that of 20 targets or 640 of one
        text, exactly: it tells nothing of what was scored.
        """
        if each.covered.exact and self.steady(each) is not None:
            return Covered(Kind.OTHER, min(FEW_TARGETS, each.targets), each.covered.implied_bytes)
        return each.covered

    @property
    def convictions(self) -> list[tuple[Gained, Gain]]:
        """Gains that no predictor can have, of lines that the claim rests on."""
        return [(run, gain) for run in self.gained for gain in run.gains if gain.convicts and self.rests_on(gain.score)]

    @property
    def beside(self) -> list[tuple[Gained, Gain]]:
        """The same of lines that it does not rest on."""
        return [
            (run, gain) for run in self.gained for gain in run.gains if gain.convicts and not self.rests_on(gain.score)
        ]

    @property
    def convicted(self) -> bool:
        """Whether the score is no code's, by E1, E5 or E6."""
        return bool(self.convictions) or self.sums_convict or self.sees_future

    @property
    def sums_convict(self) -> bool:
        """Whether E5 convicts; not where the script draws its text itself, for then how much of it was scored is not known."""
        return self.kraft is not None and self.kraft.convicts and not self.own_text

    @property
    def sees_future(self) -> bool:
        """Whether E6 convicts."""
        return self.future is not None and self.future.convicts

    @property
    def proven(self) -> bool:
        """Whether E5 and E6 hold, and E1 of a trained model found nothing: an untrained one gives too little away for E5.

        E5 alone is no proof: where all other tokens of the text inform each one, the sums of a short text may come to one by chance.
        """
        trained = any(run.setting == TRAINED and run.gains for run in self.gained)
        onward = self.own_text or (self.future is not None and not self.future.convicts)
        return self.kraft is not None and self.kraft.holds and onward and trained and not self.beside

    @property
    def sees_nats(self) -> float | None:
        """The smallest gain of the claimed line that some run could have shown; None where no line could be tested."""
        found = [gain.visible_nats for run in self.gained for gain in run.gains if self.rests_on(gain.score)]
        return min(found) if found else None


class Budget:
    """CPU seconds of plays that are left, and what a run costs; on a busy machine wall time may be four times as long."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.until = clock, clock() + 4.0 * seconds
        self.cpu_seconds = seconds
        self.run_seconds = 0.0

    @property
    def left(self) -> float:
        """CPU seconds left."""
        return min(self.cpu_seconds, self.until - self.clock())

    def spend(self, seconds: float) -> None:
        """Take off what a play took."""
        self.cpu_seconds -= seconds

    def allows(self, runs: float) -> bool:
        """Whether so many runs of the last one's length fit."""
        return runs * self.run_seconds <= self.left


def hold_trial(
    script: Path,
    folder: Path | None,
    *,
    depth: str = "default",
    seed: int,
    unsafe: bool = False,
    claimed: frozenset[str] = frozenset(),
    tokenizer: bytes | None = None,
    text: str | None = None,
    sources: Iterable[str] = (),
    own: bool = False,
) -> Trial:
    """Run the experiments of a depth ("quick", "default", "deep") on a script with the files beside it.

    tokenizer: the official SentencePiece model of 1,024 pieces, where there is one here. text, sources: see `Whole`. own: golf
    composed it, so that it runs also where a wall is missing. Raises GolfError where walls are missing and `unsafe` is not given.
    """
    began = time.monotonic()
    trial = Trial(depth, seed, claimed=claimed, official_tokenizer=tokenizer is not None)
    with Box(unsafe=unsafe or own) as box:
        whole = Whole(box, script, folder, text, sources)
        trial.shown = whole.shown
        _Course(trial, whole, Budget(BUDGET_SECONDS[depth]), tokenizer).run()
        trial.plays = whole.played
    trial.seconds = time.monotonic() - began
    return trial


class _Course:
    """The experiments in their order; each is left out, by name, where the budget does not hold it."""

    def __init__(self, trial: Trial, whole: Whole, budget: Budget, tokenizer: bytes | None) -> None:
        self.trial, self.whole, self.budget = trial, whole, budget
        self.last_seconds = OVERHEAD_SECONDS
        self.train_targets, self.train_seed = TRAIN_TARGETS, trial.seed + 1
        self.window = SHORT_WINDOW
        self.few = TARGETS // 2 if trial.depth == "quick" else TARGETS
        self.quiet = 1.0
        self.short = False  # what costs more: few experiments, and these on short texts
        self.kept_run: tuple[Ids, int, Played] | None = None  # whose products were put aside, see `_keep`
        self.large = of_model(tokenizer, LARGE_VOCABULARY) if tokenizer else mixed(LARGE_VOCABULARY)

    def run(self) -> None:
        first = self._first()
        if first is None:
            return
        deep, quick = self.trial.depth == "deep", self.trial.depth == "quick"
        steps: list[tuple[str, float, Callable[[], object]]] = []
        if self._bits_are_another():
            steps.append(("E1 on bytes", 1, self._bytes))
        elif any(each.covered.exact and each.covered.kind is not Kind.WHOLE for each in self.trial.coverage):
            steps.append((ANOTHER_TEXT, 0.25, self._another))
        self.short = short = quick and self.budget.run_seconds > CHEAP_SECONDS
        cuts = 2 if quick else 4 if deep else 3
        whole = self.few / TARGETS  # of a run, what one on a text of that length costs

        def kraft(share: float) -> None:
            (self._kraft_of_bits if self._bits_are_another() else self._kraft)(cuts, share)

        if quick:
            wish = Wish(seed=self.trial.seed)
            steps.append(("E1 on a longer text", 1, lambda: self._random("random text, longer", self.large, wish)))
        steps += [
            ("E4 when time runs out", whole, self._hurried),
            (
                f"E1 with {SMALL_VOCABULARY} tokens",
                1,
                lambda: self._random(
                    "small vocabulary", mixed(SMALL_VOCABULARY), Wish(seed=self.trial.seed, quiet=self.quiet)
                ),
            ),
            (E5, 2, lambda: kraft(EARLY_SHARE)),
            ("E1 after training", 5, self._trained),
            ("E1 amplified", 1, self._amplified),
            ("E2 blind artifact", 3 * whole, self._blind),
            (SWAPPED, 2 * whole if not short else 0.4, self._swapped),
            ("E3 with disturbed tensors", whole, self._disturbed),
            ("E6 more text", 2, self._future),
            (E5, 2, lambda: kraft(1.0)),
            ("E3 alone in an empty folder", 1.5 * whole, self._alone),
        ]
        if deep:
            steps += [("E1 hidden in a known text", 2, self._suffix), ("E1 four times as long", 4, self._longer)]
        if short:  # the one that proves what the artifact decides comes while there is time
            early = ("E1 on bytes", ANOTHER_TEXT, SWAPPED)
            steps.sort(key=lambda step: early.index(step[0]) if step[0] in early else len(early))
        for name, runs, step in steps:
            if name == E5 and self.trial.kraft is not None:  # it had its turn among the cheap ones
                continue
            if short and not name.startswith(SHORT_FORM):
                self.trial.left_out.append(name)
                continue
            if short and name.startswith("E3") and self.trial.reading is not None and self.trial.reading.follows:
                continue  # proven
            # sums above one leave open whether later tokens are seen, which E6 tells
            settled = ("E1", "E5", "E6") if self.trial.convictions else ("E1", "E5")
            if self.trial.convicted and not deep and name.startswith(settled):
                continue
            if self.budget.allows(runs * (1.0 if not quick else 1.5)):
                step()
            else:
                self.trial.left_out.append(name)
        late = {E5} if self.trial.kraft is not None else set()  # it has two turns
        self.trial.left_out = [name for name in dict.fromkeys(self.trial.left_out) if name not in late]

    def _seconds(self) -> float:
        return max(min(3.0 * self.budget.left + 20.0, 300.0), 20.0)  # of a machine that others use too

    def _train(self, vocabulary: Vocabulary) -> Ids:
        return uniform_text(vocabulary, self.train_targets, self.train_seed).ids

    def _play(self, vocabulary: Vocabulary, val: Ids, wish: Wish) -> Played:
        wish = replace(wish, seconds=self._seconds())
        played = self.whole.play(vocabulary, self._train(vocabulary), val, wish)
        cost = (played.cpu_seconds or played.seconds) + OVERHEAD_SECONDS
        self.budget.spend(cost)
        self.trial.cpu_seconds += cost
        if len(val) > TARGETS // 2:
            self.budget.run_seconds = cost * max(TARGETS / len(val), 0.5)
        self.last_seconds = cost
        self.trial.processes_left = max(self.trial.processes_left, played.left)
        self.trial.late_optimizers |= bool(played.happened("late optimizer"))
        self.trial.looks_at_clock |= bool(played.happened("looks at the clock"))
        self.trial.programs = tuple(
            dict.fromkeys([*self.trial.programs, *(str(each.get("what")) for each in played.happened("program"))])
        )
        return played

    def _first(self) -> Played | None:
        """E1, E3 and E4 in one run."""
        trial = self.trial
        text = self.first_text = uniform_text(self.large, self.few + trial.seed % ODD_TARGETS, trial.seed)
        for way in self.whole.ways():
            self.whole.way = way
            played = self._play(self.large, text.ids, Wish(seed=trial.seed, twin="garbage"))
            trial.scores = tuple(printed_scores(played.text))
            if played.stopped or (played.ran and any(_is_number(score) for score in trial.scores)):
                break
        if not played.ran or not trial.scores:
            trial.fault = played.fault or "it prints no score of a form that is known"
            return None
        trial.unowned = tuple(str(name) for each in played.happened("unowned")[:1] for name in each["names"])
        trial.own_text = bool(played.happened("drew its text"))
        # a table that ships beside the script is of the official tokenizer, whatever else is opened
        trial.reads_tokenizer = not self.whole.data_beside and any(
            str(each.get("path", "")).endswith(".model") for each in played.happened("open")
        )
        gains = self._gains("random text", text, trial.scores)
        if max((gain.nats for gain in gains if trial.rests_on(gain.score)), default=0.0) < -DEFICIT_NATS:
            self.quiet = QUIET  # what the untrained model lacks would hide a gain
        if not trial.own_text:
            trial.coverage = [_coverage(score, text) for score in trial.scores]
        read = tuple(Path(str(each["path"])).name for each in played.happened("read back"))
        used = any(played.happened(event) for event in ("unpacked", "loaded"))
        garbage = None if played.last_twin is None else tuple(printed_scores(played.last_twin))
        trial.reading = Reading(tuple(played.files), read, played.unread, used, garbage)
        return played

    def _disturbed(self) -> None:
        """E3 with disturbed tensors: the same text and seed, so that another score comes from the tensors alone."""
        trial, reading = self.trial, self.trial.reading
        assert reading is not None
        played = self._play(self.large, self.first_text.ids, Wish(seed=trial.seed, twin="disturbed"))
        if played.happened("disturbed"):
            trial.reading = replace(reading, disturbed=tuple(printed_scores(played.text)) if played.ran else ())

    def _alone(self) -> None:
        """E3 in an empty folder: a twin that has what ships and one product must come to the same score, of the same text and seed."""
        trial, reading = self.trial, self.trial.reading
        assert reading is not None
        if not reading.read:
            return
        played = self._play(
            self.large, self.first_text.ids, Wish(seed=trial.seed, twin="alone", product=reading.read[-1])
        )
        if played.ran and played.happened("alone"):
            trial.reading = replace(reading, alone=tuple(printed_scores(played.last_twin or "")))

    def _swapped(self) -> None:
        """E3 with what another run wrote: trained on other text, it must come to that run's score, or it scores what its artifact lacks.

        In place of the last file alone that proves it; where more than one is read, only all of them together can break it.
        """
        trial = self.trial
        assert trial.reading is not None
        if not trial.reading.read or (self.kept_run is None and not self._keep().ran):
            return
        assert self.kept_run is not None
        ids, train_targets, kept = self.kept_run
        before = self._last_number(kept)
        last = trial.reading.read[-1]
        for product in (last, None) if len(trial.reading.read) > 1 else (last,):
            usual = self.train_seed, self.train_targets
            self.train_seed, self.train_targets = trial.seed + 2, train_targets
            played = self._play(self.large, ids, replace(self._training, kept=True, product=product))
            self.train_seed, self.train_targets = usual
            after = self._last_number(played) if played.ran else None
            if not (before and after and played.happened("read another's")) or played.happened("read its own"):
                continue
            another = [
                name for name, each in played.files.items() if Path(name).name == last and each != kept.files.get(name)
            ]
            if product and another and _is_same(after, before):
                trial.reading = replace(trial.reading, follows=True, swapped=(after, before))
                return
            if product is None or len(trial.reading.read) == 1:
                trial.reading = replace(trial.reading, swapped=(after, before))

    def _last_number(self, played: Played) -> Printed | None:
        """The last claimed score that is a number."""
        found = [each for each in printed_scores(played.text) if self.trial.rests_on(each) and _is_number(each)]
        return found[-1] if found else None

    @property
    def _training(self) -> Wish:
        """A play that trains, a little, at the published rates."""
        steps = {} if self.short else {"ITERATIONS": str(BLIND_STEPS)}
        return Wish(seed=self.trial.seed, train_rate=1.0, extra=steps)

    def _keep(self) -> Played:
        """A play that trains, whose products are put aside."""
        ids = uniform_text(self.large, SHORT_TARGETS if self.short else self.few, self.trial.seed + 4).ids
        for self.train_targets in (
            BLIND_TRAIN_TARGETS,
            TRAIN_TARGETS,
        ):  # so few that what follows in the stream is reached
            played = self._play(self.large, ids, replace(self._training, keep=True))
            if played.ran:
                self.kept_run = (ids, self.train_targets, played)
                break
        self.train_targets = TRAIN_TARGETS
        return played

    def _hurried(self) -> None:
        """E4 with a clock that runs out soon after packing: what is not reached in time must be scored all the same."""
        trial = self.trial
        whole = next((each for each in reversed(trial.coverage) if trial.rests_on(each.score)), None)
        if not trial.looks_at_clock or whole is None or not whole.covered.exact:
            return
        for seconds in LATE_CALL_SECONDS:
            played = self._play(self.large, self.first_text.ids, Wish(seed=trial.seed, late_call_seconds=seconds))
            found = [each for each in printed_scores(played.text) if trial.rests_on(each)] if played.ran else []
            if found and found[-1].loss and found[-1].bpb and _is_number(found[-1]):
                trial.hurried = _coverage(found[-1], self.first_text)
                return

    def _gains(self, setting: str, text: Text, scores: Sequence[Printed]) -> list[Gain]:
        known = text.targets if self.trial.own_text else None
        found = [gain for score in scores if (gain := gain_of(score, text, len(scores), targets=known))]
        self.trial.gained.append(Gained(setting, text.targets, tuple(found)))
        if len(self.trial.gained) > 1:
            self._note_coverage(scores, text)
        return found

    def _bits_are_another(self) -> bool:
        """Whether some printed bits are not those of the printed loss: a mixture of bytes, or bits alone. Not where the bytes
        themselves are in doubt: a table that is not made from the tokenizer, or counts that no near-uniform model could give."""
        doubtful = not self.trial.reads_tokenizer or any(self.trial.miscounts(each) for each in self.trial.coverage)
        return not doubtful and any(
            each.covered.kind in (Kind.OTHER, Kind.UNTOLD) and each.score.bpb is not None
            for each in self.trial.coverage
        )

    def _random(
        self, setting: str, vocabulary: Vocabulary, wish: Wish, targets: int = TARGETS, otherwise: Wish | None = None
    ) -> list[Gain]:
        """E1 on a text of its own. otherwise: how to play where the script dies of `wish`."""
        text = uniform_text(
            vocabulary, targets + self.trial.seed % ODD_TARGETS, self.trial.seed + 1 + targets // TARGETS
        )
        played = self._play(vocabulary, text.ids, wish)
        if otherwise is not None and not (played.ran or played.stopped):
            played = self._play(vocabulary, text.ids, otherwise)
        if not played.ran:
            self.trial.left_out.append(f"E1, {setting} ({played.fault})")
            return []
        return self._gains(setting, text, printed_scores(played.text))

    def _another(self) -> None:
        """E4 on a short text, of another vocabulary where the script reads its tokenizer: what a quotient of loss and bits implies by chance on one text it does not on two."""
        vocabulary = mixed(SMALL_VOCABULARY) if self.trial.reads_tokenizer else self.large
        text = uniform_text(vocabulary, TARGETS // 4, self.trial.seed + 8)
        played = self._play(vocabulary, text.ids, Wish(seed=self.trial.seed))
        self._note_coverage(printed_scores(played.text) if played.ran else (), text)

    def _is_of_its_bytes(self, text: Text) -> bool:
        """Whether a script can know a text's bytes: a table that ships with it is of the large vocabulary."""
        return self.trial.reads_tokenizer or text.law_nats > (text.targets - 0.5) * math.log(len(self.large.ids))

    def _note_coverage(self, scores: Iterable[Printed], text: Text) -> None:
        """E4 of a text beside the first one."""
        if not self.trial.own_text and self._is_of_its_bytes(text):
            self.trial.others += [_coverage(score, text) for score in scores]

    def _bytes(self) -> None:
        """Bits on a text whose bytes spell its tokens in one way."""
        vocabulary = words(LARGE_VOCABULARY)
        text = uniform_text(vocabulary, TARGETS, self.trial.seed + 3)
        played = self._play(vocabulary, text.ids, Wish(seed=self.trial.seed, quiet=QUIET))
        if not played.ran:
            self.trial.left_out.append(f"E1 on bytes ({played.fault})")
            return
        scores = printed_scores(played.text)
        found = [gain for score in scores if (gain := bits_gain_of(score, text, len(scores)))]
        self.trial.gained.append(Gained("bits on uniquely spelled words", text.targets, tuple(found)))
        self._note_coverage(scores, text)

    def _amplified(self) -> None:
        """Whatever adapts, sped up: towards the largest rate at which it does not run away, while more is gained by more.

        Without an optimizer or a gradient that is seen, by the script's own names of rates.
        """
        rates = {
            name: f"{float(value) * 10:g}"
            for name, value in {**self._default_rates(), **self.whole.shown}.items()
            if name in self.whole.names
            and name.endswith("LR")
            and name.startswith(("TTT", "SLOT", "EVAL", "ADAPT", "LORA"))
            and _is_rate(value)
        }
        if not self.trial.late_optimizers:
            if rates or self.quiet != 1.0:
                self._adapted(1.0, rates)
            return
        low, high, gained = 1.0, math.inf, self._gain_at_first()
        factor = AMPLIFIED
        for turn in range(MOST_RATES):
            if turn and not self.budget.allows(2):
                break
            gain = self._adapted(factor)
            if self.trial.convicted:
                return
            if gain < min(gained, 0.0) - DEFICIT_NATS:
                high = factor
                if low == 1.0 and factor < LEAST_RATE:
                    break
            elif gain < gained - TELLS_NATS:
                break
            else:
                low, gained = factor, gain
            factor = low * AMPLIFIED if high == math.inf else math.sqrt(low * high)
        if gained > SOME_NATS and self.budget.allows(
            LONGER + 1
        ):  # what is gained grows with the text, what chance gives does not
            self._adapted(low, targets=LONGER * TARGETS)

    def _gain_at_first(self) -> float:
        """The gain of the claimed line as the script adapts by itself; where the model was made quiet since, all that it lacked."""
        found = [gain.nats for gain in self.trial.gained[0].gains if self.trial.rests_on(gain.score)]
        return max(found, default=-DEFICIT_NATS)

    def _adapted(self, factor: float, extra: Mapping[str, str] | None = None, targets: int = TARGETS) -> float:
        """The largest gain of the claimed line with adaptation sped up; minus infinity where it is none."""
        wish = Wish(seed=self.trial.seed, quiet=self.quiet, late_rate=factor, extra=extra or {})
        gains = self._random(f"adaptation amplified {factor:.0f} times", self.large, wish, targets)
        return max((gain.nats for gain in gains if self.trial.rests_on(gain.score)), default=-math.inf)

    def _trained(self) -> None:
        """A model trained on random text at the published rates learned nothing but what its own input gives away: a mask that lets the
        next token through, or a shift by one, is worth all that there is."""
        usual, steps = self.budget.run_seconds, {"ITERATIONS": str(TRAINING_STEPS)}
        wish = Wish(seed=self.trial.seed, train_rate=1.0, extra={**steps, "TRAIN_BATCH_TOKENS": "256"})
        # the contest's scripts cut a batch into eight parts of whole sequences, which 256 tokens do not hold
        self._random(TRAINED, mixed(SMALL_VOCABULARY), wish, otherwise=replace(wish, extra=steps))
        self.budget.run_seconds = usual  # of the runs that are to come, which train three steps

    def _default_rates(self) -> dict[str, str]:
        return {name: "0.01" for name in self.whole.names if name in ("TTT_LR", "SLOT_LR")}

    def _blind(self) -> None:
        """E2: the same training, other validation texts, the same folder."""
        trial = self.trial
        first = self._keep()
        if self.kept_run is None:
            trial.left_out.append(f"E2 blind artifact ({first.fault})")
            return
        texts = self.kept_run[0], uniform_text(self.large, self.few, trial.seed + 5).ids
        self.train_targets = self.kept_run[1]
        second = self._play(self.large, texts[1], self._training)
        if not second.ran:
            trial.left_out.append(f"E2 blind artifact ({second.fault})")
            self.train_targets = TRAIN_TARGETS
            return
        names = first.files.keys() | second.files.keys()
        differing = tuple(sorted(name for name in names if first.files.get(name) != second.files.get(name)))
        unstable: tuple[str, ...] = ()
        if differing:
            again = [self._play(self.large, ids, self._training).files for ids in texts]
            unstable = tuple(
                name for name in differing
                if any(old.files.get(name) != new.get(name) for old, new in zip((first, second), again, strict=True))
            )  # fmt: skip
        self.train_targets = TRAIN_TARGETS
        trial.blind = Blind(tuple(sorted(first.files)), differing, unstable)

    def _future(self) -> None:
        """E6: the first text with itself behind it, against the first play. What was scored beyond the text, or cut off, is allowed for."""
        trial, ids = self.trial, self.first_text.ids
        first = next((each for each in reversed(trial.coverage) if trial.rests_on(each.score)), None)
        if first is None or first.score.loss is None or not trial.told(first).exact:
            return
        text = text_of(self.large, np.concatenate([ids, ids]))
        played = self._play(self.large, text.ids, Wish(seed=trial.seed))
        score = next((each for each in reversed(printed_scores(played.text)) if trial.rests_on(each)), None)
        if not played.ran or score is None or score.loss is None or not math.isfinite(score.loss):
            trial.left_out.append(f"E6 more text ({played.fault or 'no score'})")
            return
        longer = trial.told(_coverage(score, text))
        if not longer.exact:
            return
        alone_nats, longer_nats = first.score.loss * first.covered.targets, score.loss * longer.targets
        edge = abs(first.covered.targets - first.targets) * max(first.score.loss, score.loss)
        trial.future = Future(score, alone_nats, longer_nats, CONVICTS_NATS + edge + FLOAT_SHARE * alone_nats)

    def _kraft(self, count: int, share: float) -> None:
        """E5 on a text with repeats, at cuts drawn by the seed; a first play tells what it costs and how fast it may adapt."""
        trial, vocabulary = self.trial, mixed(KRAFT_VOCABULARY)
        ids = periodic_ids(vocabulary, KRAFT_TARGETS, trial.seed)
        rates = (AMPLIFIED**2, AMPLIFIED, 1.0) if trial.late_optimizers else (1.0,)
        for turn, rate in enumerate(rates, 1):
            score = self._short(vocabulary, ids, rate)
            if turn < len(rates) and not (score and score.loss is not None and score.loss < MOST_NATS):
                continue  # it runs away, or has no number
            each = self.last_seconds * (vocabulary.size + 1)
            count = min(count, max(int(share * self.budget.left / each), 0))
            if not count:
                trial.left_out += [E5] if share == 1.0 and trial.kraft is None else []
                return
            trial.kraft = self._sums(vocabulary, ids, rate, count)
            if not trial.kraft.convicts or not self._is_arithmetic(vocabulary, ids, rate, trial.kraft):
                return
            trial.kraft = Sums(fault="it adapts so fast that rounding decides what a text costs")

    def _sums(self, vocabulary: Vocabulary, ids: Ids, rate: float, count: int) -> Sums:
        """E5 where what adapts is sped up by a rate."""
        total = loss_nats if self.trial.own_text else total_nats
        for self.window in (SHORT_WINDOW, 1):
            found = sums(
                vocabulary, ids, self._cuts(count, ids), lambda text: self._short(vocabulary, text, rate), total
            )
            if found.fault != CUT or not self.budget.allows(4):
                break
        return found

    def _is_arithmetic(self, vocabulary: Vocabulary, ids: Ids, rate: float, found: Sums) -> bool:
        """Whether a sum above one may be rounding alone: what adapts fast makes of another rounding another price. A text of one token more has
        other shapes, so other rounding; here the untrained model is scaled by one part in ten millions."""
        text = ids[: found.cuts[int(np.argmax(found.sums))]]
        plain, shaken = (self._short(vocabulary, text, rate, quiet) for quiet in (1.0, SHAKEN))
        if plain is None or plain.loss is None or shaken is None or shaken.loss is None:
            return True
        moved = abs(plain.loss - shaken.loss) * (len(text) - 1)
        return not SHAKES * moved < math.log(max(found.sums))

    def _kraft_of_bits(self, count: int, share: float) -> None:
        """E5 by the printed bits, where these are not those of the printed loss: behind a word that has not been seen before, so that
        what mixes bytes leans on the network for the next first byte."""
        if share < 1.0:  # the bits are another's: the experiments before it tell more
            return
        trial, vocabulary = self.trial, words(KRAFT_VOCABULARY)
        rare, common = vocabulary.ids[:1], replace(vocabulary, ids=vocabulary.ids[1:])
        for turn in range(count):
            ids = np.append(uniform_text(common, KRAFT_TARGETS - 30 * turn, trial.seed + turn).ids, rare)
            trial.kraft = sums(vocabulary, ids, (len(ids),), lambda text: self._short(vocabulary, text, 1.0), bits_nats)
            if trial.kraft.convicts or not self.budget.allows(10):
                break

    def _cuts(self, count: int, ids: Ids) -> tuple[int, ...]:
        """Where the text is cut: every second time where its last tokens came before, for there counts and hints act, else anywhere.

        Never where one more token fills a window, for then a script that cuts its text to whole windows would seem to price that token
        alone; nor where it begins one, for rates may follow the number of windows, as the law allows.
        """
        places = np.arange(KRAFT_TARGETS - 50, KRAFT_TARGETS)
        places = places[places % WINDOW_STEP > 1]
        known = [at for at in places if (ids[at - KNOWN : at] == ids[at - KNOWN - PERIOD : at - PERIOD]).all()]
        rng = np.random.default_rng(self.trial.seed)
        found = rng.choice(known, min((count + 1) // 2, len(known)), replace=False)
        rest = rng.choice(np.setdiff1d(places, found), count - len(found), replace=False)
        return tuple(sorted(int(at) for at in (*found, *rest)))

    def _short(self, vocabulary: Vocabulary, text: Ids, rate: float, quiet: float = 1.0) -> Printed | None:
        """The claimed score of a short text, in windows of 32, or of one token where the script cuts its text to whole windows."""
        window = str(self.window)
        sizes = {"TRAIN_SEQ_LEN": window, "EVAL_SEQ_LEN": window, "EVAL_STRIDE": str(max(self.window // 4, 1))}
        wish = Wish(seed=self.trial.seed, train_rate=1.0, late_rate=rate, quiet=quiet, extra={**SHORT, **sizes})
        played = self._play(vocabulary, text, wish)
        scores = printed_scores(played.text) if played.ran else []
        return next((score for score in reversed(scores) if self.trial.rests_on(score)), None)

    def _suffix(self) -> None:
        """Random ids behind a text with repeats: G = n_U · ln V - [N · L(RU) - n_R · L(R)] keeps the same bound for what never looks ahead."""
        trial, vocabulary = self.trial, self.large
        known = periodic_ids(vocabulary, TARGETS // 2, trial.seed)
        rest = uniform_text(vocabulary, TARGETS, trial.seed + 6).ids[1:]
        wish = Wish(seed=trial.seed, quiet=QUIET)
        runs = [self._play(vocabulary, ids, wish) for ids in (known, np.concatenate([known, rest]))]
        if not all(run.ran for run in runs):
            trial.left_out.append("E1 hidden in a known text")
            return
        before, both = (
            {score.label: score for score in printed_scores(run.text) if score.loss is not None} for run in runs
        )
        gains = []
        for label, score in both.items():
            if label in before and score.loss is not None and (first := before[label].loss) is not None:
                nats = len(rest) * math.log(vocabulary.size) - (
                    (len(known) + len(rest) - 1) * score.loss - (len(known) - 1) * first
                )
                gains.append(
                    Gain(
                        score,
                        "loss",
                        nats,
                        20.0 + math.log(len(both)) + MOST_REPEATED_TARGETS * math.log(vocabulary.size),
                    )
                )
        trial.gained.append(Gained("random text behind a text with repeats", len(rest), tuple(gains)))

    def _longer(self) -> None:
        worst = max(
            (gain.nats for run in self.trial.gained for gain in run.gains if self.trial.rests_on(gain.score)),
            default=0.0,
        )
        if worst > DOUBTFUL_NATS:
            self._random(
                "four times as long", self.large, Wish(seed=self.trial.seed + 7, quiet=self.quiet), LONGER * TARGETS
            )


def _coverage(score: Printed, text: Text) -> Coverage:
    """E4 of one score of a text."""
    return Coverage(score, covered(score, text), text.targets, text.text_bytes)


def _is_same(one: Printed, other: Printed) -> bool:
    """Whether two scores are one, but for arithmetic."""
    pairs = [(getattr(one, each), getattr(other, each)) for each in ("loss", "bpb")]
    return not any(a is not None and b is not None and abs(a - b) > SAME_SHARE * abs(b) for a, b in pairs)


def _is_number(score: Printed) -> bool:
    return any(value is not None and math.isfinite(value) for value in (score.loss, score.bpb))


def _is_rate(text: str) -> bool:
    try:
        return 0.0 < float(text) < 10.0
    except ValueError:
        return False


def drawn_seed() -> int:
    """A seed for a trial, of the system's randomness: no script can have learned its text."""
    return int(np.random.SeedSequence().entropy) % 1_000_000  # type: ignore[arg-type]


__all__ = ["Blind", "Coverage", "Future", "Gained", "GolfError", "Reading", "Trial", "drawn_seed", "hold_trial"]
