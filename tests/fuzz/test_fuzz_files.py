"""Every mutated checkpoint, card, prior, settings and task file loads or is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MUTATIONS = 3990  # 1680 of other projects' checkpoints, 210 of a backbone


@pytest.mark.slow
def test_mutated_files_load_or_are_refused_in_a_sentence_and_execute_nothing(tmp_path, capsys):
    worker = Path(__file__).with_name("mutated_files.py")
    command = [sys.executable, worker, tmp_path, "0", str(MUTATIONS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print("\n", json.dumps({"mutations": MUTATIONS} | found, indent=1))
    assert found["wrong"] == []
    assert sum(found["counts"].values()) == MUTATIONS
    assert {kind.rpartition(": ")[2] for kind in found["counts"]} == {"loaded", "refused"}
