"""What `make test` consists of: one step for each tool, and one for each file of tests on a sandbox."""

from __future__ import annotations

import ast
import dataclasses
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "test"
INTEGRATION = ROOT / "tests" / "integration"
PYTEST = ("python", "-m", "pytest", "-q")


@dataclasses.dataclass(frozen=True)
class Step:
    """One command. `junit` steps are pytest's and count their tests; `venv` is the row's environment.

    `state` is the state of the sandbox that it needs (see tests/toolkit/slots.py), empty when it only computes.
    `makes` is a state that it leaves a snapshot of, for the steps that need it.
    """

    name: str
    area: str
    command: tuple[str, ...]
    venv: str = ".venv"
    junit: bool = False
    environment: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    minutes: float = 10.0
    state: str = ""
    mine: bool = False
    makes: str = ""

    @property
    def file(self) -> str:
        """Name of its files in build/test, without an ending."""
        return self.name.replace("/", ".")

    @property
    def log(self) -> Path:
        return OUT / f"{self.file}.log"

    @property
    def report(self) -> Path:
        return OUT / f"{self.file}.xml"

    def here(self) -> bool:
        """False when the row's environment does not exist on this machine."""
        return (ROOT / self.venv / ".lock-stamp").exists()


def mark(path: Path) -> tuple[str, dict[str, t.Any]]:
    """Return the state that a test file's mark `sandbox` asks for, and the mark's options. Raises ValueError."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.sandbox":
            (state,) = (ast.literal_eval(each) for each in node.args)
            return state, {str(each.arg): ast.literal_eval(each.value) for each in node.keywords}
    raise ValueError(f"{path.relative_to(ROOT)}: no pytest.mark.sandbox says which state of a sandbox it needs")


def on_a_sandbox(path: Path, area: str, name: str) -> Step:
    """The step of one file of tests on a sandbox."""
    state, options = mark(path)
    relative = str(path.relative_to(ROOT))
    command = (*PYTEST, relative, f"--junitxml={OUT / name.replace('/', '.')}.xml")
    return Step(
        name,
        area,
        command,
        junit=True,
        minutes=30,
        state=state,
        mine=bool(options.get("mine")),
        makes=str(options.get("makes", "")),
    )


def integration() -> list[Step]:
    """A step for each file below tests/integration; its area is its folder."""
    files = sorted(INTEGRATION.glob("*/test_*.py"))
    found = [on_a_sandbox(path, path.parent.name, f"{path.parent.name}/{path.stem[5:]}") for path in files]
    live = ROOT / "tests" / "conformance" / "test_live.py"
    return [*found, on_a_sandbox(live, "conformance", "conformance/live")]


def computing(name: str, area: str, *arguments: str, venv: str = ".venv") -> Step:
    """A step that runs pytest without a sandbox."""
    command = (*PYTEST, "-n", "2", *arguments, f"--junitxml={OUT / name}.xml")
    return Step(name, area, command, venv, junit=True, minutes=15)


def every() -> list[Step]:
    """Every step. The scheduler orders them, not this list."""
    tree = {"ANSIBLE_COLLECTIONS_PATH": str(OUT / "tree")}
    tool = ("python", "tests/tools/in_tree.py")
    refs = (
        *("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck"),
        *("--validate-collection-refs", "dependent", "."),
    )
    sanity = ("python", "tests/tools/sanity.py")
    return [
        Step("ruff", "lint", ("ruff", "check")),
        Step("mypy", "lint", ("mypy",)),
        Step("yamllint", "lint", ("yamllint", "--strict", ".")),
        Step("ansible-lint", "lint", (*tool, "ansible-lint", "--offline", "--strict"), environment=tree),
        Step("antsibull-docs", "lint", (*tool, *refs), environment=tree),
        Step("changelog", "lint", (*tool, "antsibull-changelog", "lint"), environment=tree),
        computing("unit-primary", "unit", "tests/unit"),
        computing("unit-newest", "unit", "tests/unit", venv=".venv-newest"),
        computing("shapes", "conformance", "tests/conformance/test_shapes.py"),
        Step("sanity-primary", "sanity", sanity, minutes=20),
        Step("sanity-newest", "sanity", sanity, ".venv-newest", minutes=20),
        *integration(),
        Step("molecule", "molecule", ("python", "tests/tools/molecule.py"), minutes=20, state="installed"),
    ]
