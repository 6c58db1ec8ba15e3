"""Keeps one Optuna study per planner and horizon: what was asked, and what came of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from grasp_bench.core.errors import UserError
from grasp_bench.planners import PLANNERS, hyperparameters, make_planner
from grasp_bench.planners.configure import Setting
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import Trial

STUDIES_FILE = "studies.log"
RANDOM_SETTINGS = 4  # before the sampler builds on what came of them
SIGNIFICANT_DIGITS = 3


@dataclass(frozen=True)
class Tried:
    """Holds a setting and its result.

    Attributes:
        settings: the hyperparameters that are not the defaults.
        par2: mean planner time to the first success, a failure counted as twice the budget
            (penalised average runtime), in the clock's unit.
        success: share of the tasks that it solved.
        cost: mean goal cost that the plans it committed to reach; infinite if it had none to a
            task, or where it was not kept.
    """

    settings: dict[str, Setting]
    par2: float
    success: float
    cost: float


def search_space(planner: str) -> SearchSpace:
    """Returns where settings of a planner are looked for.

    Raises:
        UserError: no such planner, it declares no search space, or one without its defaults.
    """
    space: SearchSpace = getattr(PLANNERS.get(planner), "search_space", {})
    if not space:
        raise UserError(f"planner '{planner}' declares no search_space, so it cannot be tuned")
    defaults = hyperparameters(make_planner(planner, {}))
    for name, where in space.items():
        if name not in defaults:
            raise UserError(f"planner '{planner}' has no '{name}', which its search_space names")
        if defaults[name] not in where:
            raise UserError(
                f"planner '{planner}': the default {name}={defaults[name]} is not in its "
                f"search_space ({where})"
            )
    return space


def tunable_planners() -> list[str]:
    """Names the planners that declare a search space, built-in ones first."""
    return [name for name in PLANNERS.names() if getattr(PLANNERS.get(name), "search_space", {})]


def open_storage(folder: Path) -> BaseStorage:
    """Opens the studies of a run folder that nobody else has open, in one journal.

    Raises:
        UserError: Optuna is not installed.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise UserError("tuning needs Optuna: pip install 'grasp-bench[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / STUDIES_FILE
    if path.exists():
        data = path.read_bytes()
        with path.open("ab") as journal:
            # A process that dies while it writes leaves half a line.
            journal.truncate(data.rfind(b"\n") + 1)
    return JournalStorage(JournalFileBackend(str(path), cast(Any, _Unlocked())))


class _Unlocked:
    """Optuna's lock outlives a killed process; the run folder's, which is held, does not."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class PlannerStudy:
    """Tries settings of one planner at one horizon, one after another.

    The first is the default, the second the one in use if that is another, the rest are
    TPE's (Bergstra et al., NeurIPS 2011). Each draw's seed is of the planner, the horizon
    and its number, so that being stopped changes nothing.

    Args:
        storage: of the run folder.
        planner: its name.
        horizon: environment steps.
        tasks: that every setting is tried on.
        seed: master seed of the run.
        in_use: the settings that the model has for this planner and horizon now.

    Raises:
        UserError: the planner cannot be tuned, or the study was begun on another number of
            tasks or with another search space.
    """

    def __init__(
        self,
        storage: BaseStorage,
        planner: str,
        horizon: int,
        tasks: int,
        seed: int,
        in_use: Mapping[str, Setting],
    ) -> None:
        import optuna

        self.planner, self.horizon = planner, horizon
        self._space = search_space(planner)
        self._defaults = hyperparameters(make_planner(planner, {}))
        self._seed = seed
        self._asked: Trial | None = None
        name = f"{planner}-h{horizon}"
        self._study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        self._agree({"tasks": tasks, "search_space": repr(dict(self._space))})
        if not self.tried():
            self._enqueue({})
            self._enqueue(in_use)

    def tried(self) -> list[Tried]:
        """Returns what is finished, in the order it was asked."""
        import optuna

        return [
            Tried(self._settings(t.params), t.values[0], **{"cost": math.inf, **t.user_attrs})
            for t in self._study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        ]

    def ask(self) -> dict[str, Setting]:
        """Returns what the next setting changes of the defaults; the same until it is told."""
        import optuna

        study = self._study
        identity = f"{self._seed}/{study.study_name}/{len(self.tried())}"
        seed = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:4])
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_SETTINGS, seed=seed)
        running = study.get_trials(states=(optuna.trial.TrialState.RUNNING,))
        self._asked = optuna.trial.Trial(study, running[0]._trial_id) if running else study.ask()
        return self._settings({name: self._suggested(self._asked, name) for name in self._space})

    def tell(self, par2: float, success: float, cost: float) -> None:
        """Records what came of the setting that was asked for."""
        if self._asked is None:
            raise ValueError("nothing was asked")
        self._asked.set_user_attr("success", success)
        if math.isfinite(cost):
            self._asked.set_user_attr("cost", cost)
        self._study.tell(self._asked, par2)
        self._asked = None

    def _agree(self, begun_with: dict[str, Any]) -> None:
        for name, value in begun_with.items():
            stored = self._study.user_attrs.get(name)
            if stored is None:
                self._study.set_user_attr(name, value)
            elif stored != value:
                raise UserError(
                    f"the study of {self.planner} at H={self.horizon} was begun with other "
                    f"{name.replace('_', ' ')} ({stored} instead of {value}): pick another --out"
                )

    def _enqueue(self, settings: Mapping[str, Setting]) -> None:
        point = {name: settings.get(name, self._defaults[name]) for name in self._space}
        outside = settings.keys() - point.keys()
        if not outside and all(point[name] in where for name, where in self._space.items()):
            self._study.enqueue_trial(point, skip_if_exists=True)

    def _suggested(self, trial: Trial, name: str) -> Setting:
        where = self._space[name]
        if isinstance(where, IntRange):
            return trial.suggest_int(name, where.low, where.high, log=where.log)
        if isinstance(where, FloatRange):
            return trial.suggest_float(name, where.low, where.high, log=where.log)
        return trial.suggest_categorical(name, where.values)

    def _settings(self, point: Mapping[str, Any]) -> dict[str, Setting]:
        changed = {name: value for name, value in point.items() if value != self._defaults[name]}
        for name, value in changed.items():
            where = self._space[name]
            if isinstance(where, FloatRange):
                short = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
                changed[name] = min(max(short, where.low), where.high)
        return {name: value for name, value in changed.items() if value != self._defaults[name]}
