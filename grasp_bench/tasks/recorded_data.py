"""Makes training data from recordings: the episodes themselves, or noisy replays of them.

Every stored state is where the simulator got with the stored actions. Nothing is taken from the
recording but starts and actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from grasp_bench.core.errors import UserError
from grasp_bench.core.processes import worker_pool
from grasp_bench.core.seeds import DataSplit
from grasp_bench.core.types import FloatArray
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.recordings import control
from grasp_bench.envs.pusht.simulator import ACTION_SCALE, WORKSPACE
from grasp_bench.tasks import demonstrations
from grasp_bench.tasks.importing import Recording
from grasp_bench.tasks.window_options import EpisodeSplit
from grasp_bench.tasks.windows import split_episodes

# What a model is measured on in its card is never trained on, and is no evaluation episode.
_EPISODES: dict[DataSplit, EpisodeSplit] = {"train": "train", "held-out": "tune"}
_LONGEST_MEMORY = 0.95  # of the noise, from one action to the next
_NOISE_STREAM = 13  # first word of random streams; see `windows`
MOST_COPIES, MOST_STEPS = 10_000, 1_000

# What training an action prior needs for 80 steps ahead: 17 frames, 5 steps apart, wherever the
# first one lies. The longer a piece, the fewer episodes are long enough.
PIECE_STEPS = 85

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Collected:
    """Counts what a dataset was made of.

    Attributes:
        pieces: episodes of the dataset.
        used: episodes of the recording that are long enough.
        chosen: episodes of the recording's split.
    """

    pieces: int
    used: int
    chosen: int


@dataclass(frozen=True)
class Noise:
    """Holds what decides the noise of one copy of an episode.

    Attributes:
        scale: largest standard deviation, in units of 100 px.
        key: seeds the random stream: seed, episode and copy.
    """

    scale: float
    key: tuple[int, int, int]

    def add(self, start: FloatArray, actions: FloatArray) -> FloatArray:
        """Returns actions [T, 2] with smooth Gaussian noise.

        A copy's standard deviation is drawn from [0, scale], its correlation from one action to
        the next from [0, 0.95]. The agent's targets stay in the workspace, as a person's mouse
        does, and the actions in [-1, 1].

        Args:
            start: [7] of the episode.
            actions: [T, 2] relative, in units of 100 px.
        """
        rng = np.random.default_rng(np.random.SeedSequence((_NOISE_STREAM, *self.key)))
        strength, keep = self.scale * rng.random(), _LONGEST_MEMORY * rng.random()
        fresh = strength * rng.standard_normal(actions.shape)
        noise, noisy = fresh[0], np.empty(actions.shape)
        agent, velocity = start[:2].tolist(), start[5:7].tolist()
        for t, action in enumerate(actions):
            noise = fresh[t] if t == 0 else keep * noise + np.sqrt(1 - keep * keep) * fresh[t]
            inside = np.clip(agent + ACTION_SCALE * (action + noise), 0.0, WORKSPACE)
            noisy[t] = _executable((inside - agent) / ACTION_SCALE)
            for axis in range(2):
                target = agent[axis] + ACTION_SCALE * noisy[t, axis]
                agent[axis], velocity[axis] = control(agent[axis], velocity[axis], target)
        return noisy


def _executable(actions: FloatArray) -> FloatArray:
    """Returns actions in [-1, 1], rounded to what a dataset stores."""
    return np.clip(actions, -1.0, 1.0).astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Replay:
    """Holds one run of the simulator and the pieces of it that are kept.

    Attributes:
        start: [7].
        actions: [T, 2] relative, in units of 100 px, before noise and clipping.
        begins: first steps of the pieces.
        noise: added to the actions, if given.
    """

    start: FloatArray
    actions: FloatArray
    begins: tuple[int, ...]
    noise: Noise | None = None

    def pieces(self, steps: int) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yields states [steps + 1, 7] and actions [steps, 2] of each piece."""
        noisy = self.actions if self.noise is None else self.noise.add(self.start, self.actions)
        actions = _executable(noisy)
        states = PUSHT.rollout(self.start[None], actions[None])[0]
        for begin in self.begins:
            yield states[begin : begin + steps + 1], actions[begin : begin + steps]


def piece_begins(length: int, steps: int) -> list[int]:
    """Returns the first steps of an episode's pieces.

    They lie at equal distances and cover all of the episode; they overlap where its length is not
    a multiple of `steps`. An episode that is too short has none.

    Args:
        length: T, actions of the episode.
        steps: of a piece.
    """
    count = -(-length // steps) if length >= steps else 0
    return [round(place) for place in np.linspace(0, length - steps, count)]


def import_demonstrations(
    folder: Path,
    recording: Recording,
    split: DataSplit,
    steps: int,
    all_episodes: bool = False,
    workers: int = 2,
    progress: Progress = lambda done, total: None,
) -> Collected:
    """Cuts a recording into pieces and replays each from its recorded start.

    Actions beyond 1 are clipped, so that a replayed state may differ from the recorded one.

    Args:
        folder: where `load_demonstrations` finds them.
        recording: of Push-T.
        split: `train` takes the recording's training episodes, `held-out` its tuning episodes.
        steps: of a piece.
        all_episodes: takes all, for recordings that their authors split.
        workers: processes.
        progress: called with the pieces finished so far and all pieces.

    Raises:
        UserError: no episode is long enough, or the folder holds another dataset.
    """
    executed = _executed(recording, split, all_episodes)
    replays = [
        Replay(states[begin], actions[begin : begin + steps], (0,))
        for states, actions in executed.values()
        for begin in piece_begins(len(actions), steps)
    ]
    facts = {"made_by": "import", "all_episodes": all_episodes}
    pieces = _collect(folder, recording, split, steps, replays, facts, workers, progress)
    return _counted(pieces, executed, steps)


def collect_replays(
    folder: Path,
    recording: Recording,
    split: DataSplit,
    steps: int,
    copies: int,
    noise: float,
    seed: int = 0,
    all_episodes: bool = False,
    workers: int = 2,
    progress: Progress = lambda done, total: None,
) -> Collected:
    """Replays episodes with noise from their starts, and cuts what happens into pieces.

    Args:
        folder, recording, split, steps, all_episodes, workers, progress: as
            `import_demonstrations`.
        copies: of each episode. All first copies come before any second one.
        noise: `Noise.scale`.
        seed: of the noise; a copy depends on (seed, episode, copy) alone.

    Raises:
        UserError: as `import_demonstrations`, or a number is out of its range.
    """
    if not 1 <= copies <= MOST_COPIES:
        raise UserError(f"{copies} copies: expected 1 to {MOST_COPIES}")
    if not 0 < noise <= 1:
        raise UserError(f"noise {noise:g}: expected a number above 0, at most 1")
    executed = _executed(recording, split, all_episodes)
    replays = [
        Replay(
            states[0],
            actions,
            tuple(piece_begins(len(actions), steps)),
            Noise(noise, (seed, episode, copy)),
        )
        for copy in range(copies)
        for episode, (states, actions) in executed.items()
    ]
    facts = {"made_by": "replays", "all_episodes": all_episodes}
    facts |= {"copies": copies, "noise": noise, "seed": seed}
    pieces = _collect(folder, recording, split, steps, replays, facts, workers, progress)
    return _counted(pieces, executed, steps)


def _executed(
    recording: Recording, split: DataSplit, all_episodes: bool
) -> dict[int, tuple[FloatArray, FloatArray]]:
    """Returns states [T, 7] and the T - 1 actions that lead to recorded states, by episode."""
    chosen = split_episodes(len(recording), "all" if all_episodes else _EPISODES[split])
    episodes = ((episode, recording.episode(episode)) for episode in chosen)
    return {i: (states, actions[:-1].astype(np.float64)) for i, (states, actions) in episodes}


def _counted(
    pieces: int, executed: dict[int, tuple[FloatArray, FloatArray]], steps: int
) -> Collected:
    used = sum(len(actions) >= steps for _, actions in executed.values())
    return Collected(pieces, used, len(executed))


def _collect(
    folder: Path,
    recording: Recording,
    split: DataSplit,
    steps: int,
    replays: Sequence[Replay],
    facts: dict[str, Any],
    workers: int,
    progress: Progress,
) -> int:
    """Runs replays over processes, and writes their pieces in shards that are not there yet."""
    if not 1 <= steps <= MOST_STEPS:
        raise UserError(f"{steps} steps: expected 1 to {MOST_STEPS}")
    pieces = [(index, begin) for index, replay in enumerate(replays) for begin in replay.begins]
    if not pieces:
        raise UserError(f"no episode of '{recording.path}' in the split has {steps} steps")
    size = demonstrations.SHARD_EPISODES
    source = {"layout": recording.layout, "sha256": recording.sha256}
    description: dict[str, Any] = {"split": split, "steps": steps, "shard_episodes": size}
    description |= {"episodes": len(pieces), "source": source, **facts}
    demonstrations.open_dataset(folder, description)
    shards = [pieces[first : first + size] for first in range(0, len(pieces), size)]
    missing = {
        shard: part
        for shard, part in enumerate(shards)
        if not demonstrations.shard_path(folder, shard).exists()
    }
    done = len(pieces) - sum(map(len, missing.values()))
    progress(done, len(pieces))
    with worker_pool(min(workers, max(1, len(missing)))) as pool:
        futures = [
            pool.submit(_write_replays, folder, shard, _only(replays, part), steps)
            for shard, part in missing.items()
        ]
        for future in as_completed(futures):
            done += future.result()
            progress(done, len(pieces))
    return len(pieces)


def _only(replays: Sequence[Replay], pieces: Sequence[tuple[int, int]]) -> list[Replay]:
    """Returns the replays of some pieces, with these pieces alone."""
    return [
        Replay(
            replays[index].start,
            replays[index].actions,
            tuple(begin for _, begin in part),
            replays[index].noise,
        )
        for index, part in groupby(pieces, key=lambda piece: piece[0])
    ]


def _write_replays(folder: Path, shard: int, replays: Sequence[Replay], steps: int) -> int:
    pieces = [piece for replay in replays for piece in replay.pieces(steps)]
    states, actions = zip(*pieces, strict=True)
    demonstrations.write_shard(folder, shard, states, actions)
    return len(pieces)
