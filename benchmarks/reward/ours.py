"""Our reward model as one more way, with named changes of its settings."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.reward.task import Answer, Task, blank, logit
from model.elements import Elements
from model.reward.fit import Reward, RewardConfig, fit_reward
from model.reward.interval import reach

ALMOST_NONE = 0.01  # a prior scale that leaves no room


@dataclass(frozen=True)
class Setting:
    """Changes of RewardConfig, and of what the model is shown."""

    changes: dict[str, Any] = field(default_factory=dict)
    content: bool = True
    history: bool = True


DEFAULT = Setting()
ABLATIONS = {
    "no product term": Setting({"scale_product": ALMOST_NONE}),
    "no within-product loss": Setting({"comparison": 0.0}),
    "no interactions": Setting({"interaction": 0}),
    "no id": Setting({"id_dropout": 1.0}),
    "no content": Setting(content=False),
    "no history": Setting(history=False),
    "no ensemble": Setting({"members": 1}),
}


def reward_model(task: Task, setting: Setting = DEFAULT, seed: int = 0) -> Answer:
    """Predictions and attributions of our model on the judged rows."""
    task = _shown(task, setting)
    reward = learned(task, setting, seed)
    return answer(reward, task)


def learned(task: Task, setting: Setting = DEFAULT, seed: int = 0) -> Reward:
    """The model of the task's training rows."""
    config = RewardConfig(**setting.changes)
    return fit_reward(task.train, task.valid, task.elements, task.context, config, seed=seed)


def answer(reward: Reward, task: Task) -> Answer:
    """What a model says of the judged rows."""
    found = reward.predict(task.judged, task.elements)
    parts = reward.attribution(task.judged, task.elements)
    return Answer(
        logit(found.click),
        found.click,
        found.click_spread,
        parts.element,
        parts.spread,
        reach(reward.members),
    )


def _shown(task: Task, setting: Setting) -> Task:
    if not setting.content:
        task = replace(task, elements=blank(task.elements))
    if not setting.history:
        bags = {n: _without_history(getattr(task, n)) for n in ("train", "valid", "judged")}
        task = replace(task, elements=_without_features(task.elements), **bags)
    return task


def _without_history(bags):
    return replace(bags, history=bags.history[:, :, :0])


def _without_features(elements: Elements) -> Elements:
    none = np.zeros((len(elements), 0), np.float32)
    return replace(elements, history=none, history_names=())
