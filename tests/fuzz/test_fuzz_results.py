"""Mutated results files: read, or refused in one sentence, in little time and memory."""

import io
import random
import resource
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grasp_bench.analysis.result_figures import FIGURE_COLUMNS
from grasp_bench.cli.app import main
from grasp_bench.core.errors import UserError
from grasp_bench.run.schema import results_schema
from grasp_bench.run.store import read_results, write_table

FILES, SEED, SECONDS, BYTES = 800, 18, 10, 2e9

NUMBERS = {
    pa.int64(): [0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)],
    pa.uint64(): [0, 1, 2**64 - 1],
    pa.float64(): [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, -1.0, 1e308, 5e-324],
    pa.timestamp("ms", tz="UTC"): [0, -(2**62), 2**62, 10**15],
    pa.bool_(): [True, False],
    pa.binary(): [b"", b"\0\xff\0", b"\xff" * 8, b"x" * 10**7],
}
TEXTS = [
    "", " ", "\0", "\n|\r\n\n", "../../x", "-x", "--out", "{}", "[]", "{" * 5000, '{"a": [1e999]}',
    '{"a": {"b": "]"}}', "\U0001f4a5" * 50, "x" * 999, "x" * 10**5, "=1+1", "a.b:c", "[red]x[/]",
    "<script>", "1 2 3", "ok", "error", "mpc", "never", "iterations", "cem", "demo", "zero",
]  # fmt: skip
TYPES = [
    pa.float32(), pa.int8(), pa.string(), pa.large_string(), pa.binary(), pa.bool_(), pa.null(),
    pa.date32(), pa.list_(pa.string()), pa.struct([("a", pa.int64())]), pa.decimal128(38, 3),
    pa.timestamp("ns"), pa.map_(pa.string(), pa.int64()), pa.list_(pa.list_(pa.int64())),
    pa.dictionary(pa.int32(), pa.int64()), pa.duration("s"),
]  # fmt: skip
COMMANDS = [
    *(f"table FILE --kind {kind} --format {form}" for kind, form in (
        ("results", "csv"), ("results", "latex"), ("planners", "markdown"), ("times", "json"),
        ("pairwise", "html"), ("ablation", "rich"), ("ablation", "markdown"))),
    "table FILE --outcome final-plan", "table FILE GOOD", "results show FILE",
    "results show FILE --format csv", "results show FILE --format json",
    "results merge FILE GOOD -o OUT/m.parquet", "results check FILE", "compare FILE GOOD",
    "compare GOOD FILE", "replay FILE cem-t0", "figure landscape FILE cem*",
]  # fmt: skip
SLOW_COMMANDS = [
    "report FILE --no-clips -o OUT/r.html", "report FILE -o OUT/r.html",
    *(f"figure {kind} FILE -o OUT/f.svg" for kind in ("success", "solved", "model-evals")),
]  # fmt: skip


def set_column(table, name, array):
    return table.set_column(table.schema.get_field_index(name), name, array)


def some_values(table, choice):
    """Replaces a few values of a column, or all, by null or by what is absurd."""
    name = choice.choice(table.schema.names)
    values, kind = table[name].to_pylist(), table.schema.field(name).type
    absurd = [None, *(TEXTS if kind == pa.string() else NUMBERS[kind])]
    value, share = choice.choice(absurd), choice.choice([0.02, 0.5, 1.0])
    changed = [value if choice.random() < share else old for old in values]
    if value not in changed:
        changed[0] = value
    if kind == pa.timestamp("ms", tz="UTC"):
        moments = [v.timestamp() * 1000 if isinstance(v, datetime) else v for v in changed]
        whole = pa.array([None if m is None else int(m) for m in moments], pa.int64())
        return set_column(table, name, whole.cast(kind))
    return set_column(table, name, pa.array(changed, kind))


def another_type(table, choice):
    name, kind = choice.choice(table.schema.names), choice.choice(TYPES)
    samples = {pa.list_(pa.string()): ["a"], pa.binary(): b"\xff", pa.bool_(): True}
    value = samples.get(kind)
    try:
        array = table[name].cast(kind)
    except pa.ArrowException:
        array = pa.array([value] * len(table), kind)
    return set_column(table, name, array)


def other_columns(table, choice):
    name, other = choice.sample(table.schema.names, 2)
    new = choice.choice([f"success_{other}", f"final_plan_{name}", "x" * 10**6, "", "a.b", other])
    return choice.choice(
        [
            table.drop([name]),
            table.append_column(new, table[name]),
            table.rename_columns([new if n == name else n for n in table.schema.names]),
            table.select([name, other]),
            table.select(table.schema.names[::-1]),
        ]
    )


def metadata(table, choice):
    keys = [*table.schema.metadata, b"pandas", b"ARROW:schema"]
    values = [b"", b"\xff\xfe", b"5", b"five", b"{", b"9" * 10**6, choice.randbytes(40)]
    changed = table.schema.metadata | {choice.choice(keys): choice.choice(values)}
    return table.replace_schema_metadata(choice.choice([changed, None, changed]))


def long_text(table, choice):
    names = [field.name for field in table.schema if field.type == pa.string()]
    name, text = choice.choice([*names, "planner_label"]), choice.choice("x\n\u00e9") * 10**7
    many = choice.random() < 0.3
    values = [text if many or row == 0 else v for row, v in enumerate(table[name].to_pylist())]
    # With a dictionary the file is small whatever there is to read.
    array = pa.array(values, pa.string()) if not many else pa.DictionaryArray.from_arrays(
        pa.array([0] * len(values), pa.int32()), pa.array([text]))  # fmt: skip
    return set_column(table, name, array)


def no_unicode(table, choice):
    names = [field.name for field in table.schema if field.type == pa.string()]
    values = [choice.choice([b"\xff", b"\xed\xa0\x80", b"ok"]) for _ in range(len(table))]
    return set_column(table, choice.choice(names), pa.array(values, pa.binary()).view(pa.string()))


def rows(table, choice):
    return choice.choice(
        [
            table.slice(0, 0),
            table.slice(0, 1),
            pa.concat_tables([table, table]),
            pa.concat_tables([table, some_values(table, choice)]),
            table.filter(pa.array([choice.random() < 0.5 for _ in range(len(table))])),
        ]
    )


def bytes_of(content, choice):
    """Flips bits, cuts, or repeats a part; half of the time in the footer."""
    data = bytearray(content)
    begin = choice.choice([0, len(data) - 6000])
    for _ in range(choice.choice([1, 1, 5, 50])):
        data[choice.randrange(begin, len(data))] ^= 1 << choice.randrange(8)
    place = choice.randrange(len(data))
    return bytes(choice.choice([data, data, data, data[:place], data + data[:place], data[place:]]))


TABLE_MUTATIONS = [
    some_values, some_values, some_values, another_type, other_columns, metadata, long_text,
    no_unicode, rows,
]  # fmt: skip


def mutated(table, choice):
    """Returns a mutated file's bytes, and the kind of the mutation."""
    kind = choice.choice([*TABLE_MUTATIONS, bytes_of, bytes_of])
    sink = pa.BufferOutputStream()
    if kind is bytes_of:
        pq.write_table(table, sink)
        return bytes_of(sink.getvalue().to_pybytes(), choice), "bytes_of"
    changed = kind(table, choice)
    if choice.random() < 0.2 and kind is not long_text:
        changed = choice.choice([some_values, rows])(table, choice)
    pq.write_table(changed, sink, row_group_size=choice.choice([1000, 7]))
    return sink.getvalue().to_pybytes(), kind.__name__


@pytest.fixture
def good(make_row):
    made = [
        make_row(
            planner=label.partition("[")[0], planner_label=label, horizon=horizon,
            task_id=f"t{horizon}-{number}", hyperparameters='{"sigma": 2.0}',
            stop="never", final_plan_success=False, final_plan_cost_realised=1.0,
            final_plan_cost_predicted=0.5, plan_sha256="f" * 64, final_plan_block_distance=3.0,
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            **(
                {"status": "error", "error": "Traceback\nValueError: no"}
                if (label, number) == ("grasp", 1)
                else {"success": True, "time_to_success": 1.0, "iterations_to_success": 5}
                if number % 2
                else {"candidates": 0 if number == 4 else 50}
            ),
        )
        for label in ("cem", "cem[sigma=2.0]", "grasp", "demo")
        for horizon in (40, 50)
        for number in range(6)
    ]  # fmt: skip
    return pa.Table.from_pylist(made, results_schema(made[0]))


def run(command):
    """Runs a command; returns its exit code and what it wrote to stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main(command)
    return stop.value.code or 0, err.getvalue()


def refusal(columns):
    """Reads the mutated file; returns why it is refused, nothing where it is read."""
    try:
        read_results("file.parquet", columns)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.slow
def test_a_mutated_results_file_is_read_or_refused_in_one_sentence(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choice, ends = random.Random(SEED), Counter()
    write_table(tmp_path / "good.parquet", good)
    words = {"FILE": "file.parquet", "GOOD": "good.parquet", "OUT": "out"}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for number in range(FILES):
        content, kind = mutated(good, choice)
        (tmp_path / "file.parquet").write_bytes(content)
        began = time.perf_counter()
        refusals = [refusal(columns) for columns in (None, FIGURE_COLUMNS)]
        assert all("\n" not in sentence and len(sentence) < 2000 for sentence in refusals), number
        command = choice.choice(SLOW_COMMANDS if choice.random() < 0.06 else COMMANDS)
        for word, name in words.items():
            command = command.replace(word, name)
        (tmp_path / "out" / "m.parquet").unlink(missing_ok=True)
        code, err = run(command.split())
        assert code in (0, 1, 2), (number, kind, command)
        assert "Traceback" not in err, (number, kind, command, err)
        if code == 2:
            assert err.startswith("grasp-bench: "), (number, kind, command, err)
            assert err.count("\n") == 1, (number, kind, command, err)
        seconds = time.perf_counter() - began
        assert seconds < SECONDS, (number, kind, command)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - memory
        assert used < BYTES, (number, kind, command)
        ends["refused" if code == 2 else "ran"] += 1
        ends["unreadable" if any(refusals) else "readable"] += 1
    print(f"{FILES} mutated results files: {dict(ends)}")
    assert min(ends.values()) > FILES / 10
