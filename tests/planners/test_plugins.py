"""Objects that a user names as `file.py:Name` or `module:Name`."""

import hashlib
import sys
import textwrap

import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import SHOWN, file_sha256, is_spec, load_object
from grasp_bench.planners import GD, make_planner, planner_spec

SOURCE = """
    from dataclasses import dataclass
    from typing import ClassVar

    @dataclass(frozen=True)
    class Mine:
        name: ClassVar[str] = "mine"
        reference: ClassVar[str] = "none"
        gain: float = 1.0

        def plan(self, problem, noise):
            yield from ()

    @dataclass(frozen=True)
    class Taken(Mine):
        name: ClassVar[str] = "cem"

    @dataclass(frozen=True)
    class Nameless:
        pass

    class NoDataclass:
        name = "other"

    constant = 3
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    (tmp_path / "my_planners.py").write_text(textwrap.dedent(SOURCE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_planners", raising=False)
    return tmp_path / "my_planners.py"


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("file.py:Name", True),
        ("a/b.c/file.py:Name", True),
        ("package.module:Name", True),
        ("cem", False),
        ("file.py", False),
        (":Name", False),
        ("file.py:", False),
        ("C:/checkpoints/a.safetensors", False),
    ],
)
def test_a_spec_is_told_from_a_name_or_a_path(name, spec):
    assert is_spec(name) == spec


@pytest.mark.parametrize("where", ["my_planners.py", "./my_planners.py", "my_planners", "{path}"])
def test_a_file_or_a_module_of_the_working_directory_gives_a_planner(file, where):
    source = f"{where.format(path=file)}:Mine"
    assert make_planner(source).gain == 1.0
    assert make_planner(source, {"gain": "2.5"}).gain == 2.5
    spec = planner_spec(source, {"gain": 2.5})
    assert (spec.source, spec.name, spec.label) == (source, "mine", "mine[gain=2.5]")
    assert spec.file_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_is_loaded_once_and_again_when_it_has_changed(file):
    one, two = (load_object("planner", f"{file}:Mine") for _ in range(2))
    assert one is two
    file.write_text(file.read_text().replace("gain: float = 1.0", "gain: float = 3.0"))
    assert make_planner(f"{file}:Mine").gain == 3.0
    assert make_planner(f"{file}:Mine") != one()


def test_a_planner_that_is_built_in_is_known_by_its_file_too():
    assert planner_spec("gd", {}).file_sha256 == file_sha256(GD)
    assert file_sha256(int) is None


def refused(spec):
    with pytest.raises(UserError) as error:
        planner_spec(spec, {})
    assert "\n" not in str(error.value)
    assert spec in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("missing.py:Mine", "'missing.py'"),
        ("no_such_module:Mine", "ModuleNotFoundError"),
        ("my_planners.py:Yours", "'Yours'"),
        ("my_planners:Yours", "'Yours'"),
        ("my_planners.py:constant", ""),
        ("my_planners.py:NoDataclass", ""),
        ("my_planners.py:Nameless", "name"),
        ("my_planners.py:Taken", "'cem'"),
    ],
)
def test_what_is_not_there_is_named_in_one_sentence(file, spec, named):
    assert named in refused(spec)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("raise ValueError('first line\\nsecond line')", "ValueError: first line"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise RuntimeError", "RuntimeError"),
        ("import no_such_library", "no_such_library"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_file_that_does_not_load_is_one_sentence(file, line, named):
    (file.parent / "broken.py").write_text(line)
    assert named in refused("broken.py:Mine")
    assert named in refused("broken.py:Mine")  # nothing half loaded is left behind
    with pytest.raises(UserError, match="broken"):
        load_object("planner", "broken:Mine")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("class Quit(BaseException): pass\nraise Quit('enough')", "Quit: enough"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import os; raise SystemExit(os.EX_OK)", "SystemExit: 0"),
        ("def again(): again()\nagain()", "RecursionError"),
        ("raise ValueError('\\n\\n  below\\x1b[2J')", "ValueError: below\\x1b[2J"),
        ("raise RuntimeError('x' * 10**7)", "RuntimeError: xxx"),
        ("class E(Exception):\n def __str__(self): return 1 / 0\nraise E", "E: no message"),
        ("def __getattr__(name): raise OSError(f'no {name}')", "OSError: no Mine"),
    ],
)
def test_whatever_a_module_raises_is_one_short_sentence(file, line, named):
    (file.parent / "broken.py").write_text(line)
    sentence = refused("broken.py:Mine")
    assert named in sentence
    assert sentence.isprintable()
    assert len(sentence) < 500


def test_ctrl_c_while_a_module_loads_stays_ctrl_c(file):
    (file.parent / "broken.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_object("planner", "broken.py:Mine")


def test_what_a_module_prints_keeps_off_stdout_and_is_cut(file, capfd):
    noise = "import sys\nprint('begin' + 'x' * 10**7)\nsys.stderr.write('y' * 10**7)\n"
    file.write_text(noise + file.read_text())
    make_planner(f"{file}:Mine")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("begin")
    assert len(err) == SHOWN


PLAN = "    def plan(self, problem, noise): yield from ()\n"
HEAD = """
import dataclasses, math
from dataclasses import dataclass, field
from typing import Any, ClassVar
class Raising(type):
    def __getattribute__(cls, name):
        raise LookupError(f"not {name}")
"""


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("name: ClassVar[str] = 7", "name"),
        ("name: ClassVar[str] = 'n' * 10**6", "characters"),
        ("name: ClassVar[str] = 'two\\nlines'", "characters"),
        ("name: ClassVar[str] = 'bell\\a'", "characters"),
        ("name: ClassVar[str] = 'half \\udc80'", "characters"),
        ("reference: ClassVar[str] = 'mine'", "mine"),
        ("reference: ClassVar[Any] = None", "reference"),
        ("gain: float = math.nan", "gain"),
        ("gain: float = -math.inf", "gain"),
        ("gain: Any = field(default_factory=list)", "gain"),
        ("gain: Any = field(default_factory=lambda: open('/nowhere'))", "FileNotFoundError"),
        ("gain: Any = 1j", "gain"),
        ("gain: bytes = b'1'", "gain"),
        ("note: str = '\\udfff'", "note"),
        ("note: str = 'n' * 10**6", "characters"),
        ("gain: 'Unknown' = 1.0", "Unknown"),
        ("def __post_init__(self): raise SystemExit('no')", "SystemExit: no"),
        ("def __eq__(self, other): raise ArithmeticError('no')", "ArithmeticError: no"),
        ("def __eq__(self, other): return False", "come back"),
        ("plan: ClassVar[int] = 3", "plan"),
    ],
)
def test_a_class_that_is_no_planner_is_one_short_sentence(file, body, named):
    own = ["name", "reference"]
    given = "".join(f"    {n}: ClassVar[str] = 'none'\n" for n in own if not body.startswith(n))
    plan = "" if body.startswith("plan") else PLAN
    equal = "(eq=False)" if "__eq__" in body else "(frozen=True)"
    (file.parent / "odd.py").write_text(
        f"{HEAD}\n@dataclass{equal}\nclass Odd:\n{given}    {body}\n{plan}"
    )
    sentence = refused("odd.py:Odd")
    assert named in sentence
    assert len(sentence) < 500


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        ("Odd = 5", "dataclass"),
        ("Odd = None", "dataclass"),
        ("def Odd(): return 1", "dataclass"),
        ("class Odd(metaclass=Raising): pass", "LookupError"),
        ("Odd = dataclasses.make_dataclass('Odd', [('x', int)])", "name"),
    ],
)
def test_an_object_that_is_no_planner_class_is_refused(file, definition, named):
    (file.parent / "odd.py").write_text(f"{HEAD}\n{definition}\n")
    assert named in refused("odd.py:Odd")


def test_a_class_that_was_typed_in_has_no_hash(monkeypatch):
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    made = {"__name__": "__main__"}
    exec("class Mine: pass", made)
    assert file_sha256(made["Mine"]) is None
