"""The table of Upworthy: every way on the same later tests, and our targets."""

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.reward import ours
from benchmarks.reward.jobs import answers
from benchmarks.reward.lift import Gained, gained, interval, paired
from benchmarks.reward.onehot import one_hot_regression
from benchmarks.reward.pooling import attention_mil
from benchmarks.reward.rates import empirical_rates
from benchmarks.reward.ridge import embedding_ensemble, tfidf_ridge
from benchmarks.reward.table import between, number, percent, table, target
from benchmarks.reward.task import Task, Way
from benchmarks.reward.trees import boosted_trees
from benchmarks.reward.upworthy import FOLDS, Archive

RIDGE, ENSEMBLE = "TF-IDF with ridge", "TF-IDF + embedding ensemble"
PLAIN, TEXT = "reward model, no embeddings", "reward model"
WAYS: dict[str, tuple[Way, bool]] = {  # True: reads the sentence embeddings
    "smoothed rates": (empirical_rates, False),
    "one-hot logistic regression": (one_hot_regression, False),
    "LightGBM, embeddings": (boosted_trees, True),
    "attention MIL, embeddings": (attention_mil, True),
    RIDGE: (tfidf_ridge, False),
    ENSEMBLE: (embedding_ensemble, True),
    PLAIN: (ours.reward_model, False),
    TEXT: (ours.reward_model, True),
}
AIM = 1.2
JUDGED = (RIDGE, ENSEMBLE, TEXT)  # what the targets speak of


def measure(
    plain: Archive, text: Archive, ways: Mapping[str, tuple[Way, bool]], workers: int
) -> tuple[dict[str, list[Gained]], dict[str, float]]:
    """(each way's gains by fold, its seconds in all)."""
    jobs: dict[tuple[str, int], Callable[[], Gained]] = {}
    for number_, fold in enumerate(FOLDS):
        tasks = {False: plain.task(*fold), True: text.task(*fold)}
        for name, (way, reads) in ways.items():
            jobs[name, number_] = partial(gain_of, way, tasks[reads])
    found = answers(jobs, workers)
    gains = {name: [found[name, f][0] for f in range(len(FOLDS))] for name in ways}
    return gains, {n: sum(found[n, f][1] for f in range(len(FOLDS))) for n in ways}


def gain_of(way: Way, task: Task) -> Gained:
    """What choosing by a way's scores earns on the judged tests."""
    return gained(task.judged, way(task).score)


def report(gains: Mapping[str, list[Gained]], seconds: Mapping[str, float]) -> str:
    """The table, against our model on the same tests, and the targets."""
    whole = {name: Gained.joined(parts) for name, parts in gains.items()}
    ours_ = whole[TEXT]
    rows = []
    for name, found in whole.items():
        low, high = interval(found.drawn())
        _, below, above = paired(found, ours_)
        rows.append(
            (
                name,
                percent(found.lift),
                between(low, high),
                *(percent(part.lift) for part in gains[name]),
                "" if name == TEXT else between(below, above),
                number(seconds[name], 0),
            )
        )
    folds = [f"past {past:.0%}" for past, _ in FOLDS]
    head = ("way", "lift", "95 % interval", *folds, "ours less it", "s")
    title = (
        f"Upworthy: clicks gained over uniform choice on the next fifth of tests, {len(ours_.even)} "
        "tests that vary the headline, intervals over tests"
    )
    return "\n".join([table(title, head, rows), "", *_targets(whole)])


def _targets(whole: Mapping[str, Gained]) -> list[str]:
    ratio = whole[TEXT].lift / whole[ENSEMBLE].lift
    difference, low, high = paired(whole[RIDGE], whole[TEXT])
    return [
        target(ratio >= 1, f"lift over the ensemble's: {ratio:.2f} (at least 1)"),
        target(ratio >= AIM, f"lift over the ensemble's: {ratio:.2f} (the aim: {AIM})"),
        target(
            low > 0,
            f"above TF-IDF with ridge by {percent(difference)} ({between(low, high)}; interval "
            "above 0)",
        ),
    ]
