import subprocess

from grasp_bench.core.system import git_commit


def test_a_commit_is_marked_where_code_differs_and_not_where_results_do(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)

    assert git_commit(tmp_path) is None
    git("init")
    code, results = tmp_path / "grasp_bench" / "a.py", tmp_path / "results" / "table.md"
    for path in (code, results):
        path.parent.mkdir()
        path.write_text("one")
    git("add", ".")
    git("commit", "-m", "one")
    commit = git("rev-parse", "HEAD").stdout.strip()
    assert git_commit(tmp_path) == commit
    results.write_text("two")
    assert git_commit(tmp_path) == commit
    code.write_text("two")
    assert git_commit(tmp_path) == f"{commit}-dirty"
    git("add", ".")
    assert git_commit(tmp_path) == f"{commit}-dirty"
