"""`golf run NAME --on sky`: the seeds of a submission on a pod, each an ordinary run of the store; the pod is taken down whatever happens."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from golf.errors import Exit, GolfError
from golf.files import Lock
from golf.pods.cloud import SKY
from golf.pods.guard import Guarded
from golf.pods.script import PATIENCE_SECONDS, POLL_SECONDS, PodScript
from golf.pods.task import Order, cluster_name, predicted_seconds, refuse_budget, task_text
from golf.project import find_root, find_submission
from golf.run.before import check_before
from golf.run.lines import Progress
from golf.run.machine import machine_of
from golf.run.outlook import Judge, Outlook, stop_if_worse
from golf.run.plan import Data, Plan, Wishes, find_data, make_plan
from golf.run.report import Report, make_report
from golf.run.schema import Run
from golf.run.session import Session
from golf.run.source import read_source
from golf.run.store import open_store
from golf.run.view import Silent, View
from golf.run.watch import wanted


def plan_elsewhere(name: str | None, wishes: Wishes, order: Order, shards: int | None = None) -> tuple[Plan, Order]:
    """The plan of a run on the machine that is ordered; GolfError as for a run here. The data are those found here, which are sent, or
    FineWeb with so many train shards, which the machine then fetches: only a file is planned so, for nobody knows what will be there."""
    folder = find_submission(name)
    root = find_root(folder)
    source = read_source(folder, smoke=wishes.smoke)
    machine = machine_of(f"{order.count}x{order.gpus.partition('-')[0]}")
    if shards is None:
        return make_plan(
            root, source, wishes, machine, lambda: find_data(source.vocab_size, wishes, root, source.side_car)
        ), order
    order = fetching(order, source.vocab_size, shards, "caseops" if source.side_car else "none", root)
    data = Data(Path(), Path(), "FineWeb, fetched by the pod", "", "", official=True, train_shards=shards)
    return make_plan(root, source, wishes, machine, lambda: data), order


def fetching(order: Order, vocab_size: int, shards: int, transform: str, root: Path) -> Order:
    """The order of a machine that fetches FineWeb itself: tokenizer, validation and so many train shards."""
    from golf.data.fetch import CASEOPS_REPO, REPO, plan_files

    repo = CASEOPS_REPO if transform == "caseops" else REPO
    files = plan_files(root, vocab_size, shards, transform=transform)
    places = ["tokenizer.model" if item.local.suffix == ".model" else f"shards/{item.local.name}" for item in files]
    return replace(order, fetched=tuple((repo, item.remote, place) for item, place in zip(files, places, strict=True)))


def run_on_pod(
    plan: Plan, order: Order, *, bound: float | None = None, trackers: Sequence[str] = (), view: View | None = None, cloud: str = SKY,
    poll_seconds: float = POLL_SECONDS, patience_seconds: float = PATIENCE_SECONDS, grace_seconds: float = 10.0,
) -> Report:  # fmt: skip
    """Bring a pod up, run the seeds, fetch their files, take the pod down: also after Ctrl-C, a kill, a lost connection or a spent budget.

    bound: as `--stop-if-worse`. GolfError (10): a budget that would not pay for it, no machine; as `Session.run` otherwise.
    """
    if order.budget is None or order.rate is None:
        raise GolfError(
            "a pod costs money as long as it is up",
            "name what it may cost: `--budget 25 --rate 20` ($, $/h)",
            Exit.REFUSED,
        )
    shown = view or Silent()
    refuse_budget(order, plan, plan.seeds)
    check_before(plan, shown.say)
    cluster, begun = cluster_name(plan), time.monotonic()
    most = order.most_seconds or 0.0
    predicted = predicted_seconds(plan, plan.seeds)
    shown.say(
        f"pod {cluster}: about {predicted:.0f} s at most, ${predicted * order.rate / 3600:.2f} at ${order.rate:g}/h (predicted)"
    )

    def judge_of(run: Run) -> Judge:
        foreseen = wanted if bound is None else stop_if_worse(Outlook(run, plan.root), bound, order.rate)

        def judge(progress: Progress) -> str | None:
            if time.monotonic() - begun > most:
                return f"the budget of ${order.budget:g} is spent ({most:.0f} s at ${order.rate:g}/h)"
            return foreseen(progress)

        return judge

    guarded = Guarded(plan.root, cluster, cloud, time.time() + most, poll_seconds)
    try:
        with guarded, open_store(plan.root) as store:
            script = plan.set_folder / "pod_train_gpt.py"
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_bytes(plan.source.script)
            guarded.cloud.up(cluster, task_text(order, plan, plan.seeds, script=script, runs=False))
            shown.say(f"pod {cluster} is up after {time.monotonic() - begun:.0f} s")
            starter = partial(_start, guarded, poll_seconds, patience_seconds)
            session = Session(plan, store, shown, starter=starter, judge_of=judge_of, condemns=True, trackers=tuple(trackers), grace_seconds=grace_seconds)  # fmt: skip
            return make_report(store, session.run())
    finally:
        spent = time.monotonic() - begun
        gone = (
            "was taken down"
            if guarded.is_down
            else "COULD NOT be taken down; its guard goes on trying: look with `sky status`"
        )
        shown.say(f"pod {cluster} {gone} after {spent:.0f} s, ${spent * order.rate / 3600:.2f} at ${order.rate:g}/h")


def _start(
    guarded: Guarded, poll_seconds: float, patience_seconds: float, command: Sequence[str], folder: Path, log: Path, env: Mapping[str, str],
    lock: Lock | None = None,
) -> PodScript:  # fmt: skip
    return PodScript(
        guarded.cloud,
        guarded.cluster,
        command,
        folder,
        log,
        env,
        lock,
        poll_seconds=poll_seconds,
        patience_seconds=patience_seconds,
    )
