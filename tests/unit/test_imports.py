"""Imports go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Each module may import what stands above it, never what stands below.
ORDER = [
    {"models", "prompts"},
    {"bot.types", "bot.errors", "bot.clock", "bot.quiet", "bot.threads", "bot.escalation", "bot.vetted", "bot.inert"},
    {"bot.config", "bot.log", "bot.wording", "bot.links"},
    {"bot.store", "bot.policy", "bot.resources", "bot.budget", "bot.templates", "bot.web", "bot.pictures", "bot.files"},
    {"bot.deployment", "bot.calls", "bot.vetting", "bot.statements", "bot.safe_messaging", "bot.advice"},
    {"bot.circumstances"},
    {"bot.recommendations"},
    {"bot.reddit", "bot.judge", "bot.replies", "bot.alerts", "bot.digest", "bot.manners", "bot.health"},
    {"bot.record", "bot.sources", "bot.inbox", "bot.outbox", "bot.keeper", "bot.second", "bot.choosing"},
    {"bot.notices"},
    {"bot.pipeline", "bot.watch", "bot.deliver", "bot.review", "bot.sandbox", "bot.report"},
    {"bot.pulse", "bot.replay", "bot.classify", "bot.check", "bot.evaluation", "bot.spread"},
    {"bot.annotators", "bot.label_lines"},
    {"bot.evaluation_page", "bot.tune", "bot.label"},
    {"bot.agree", "bot.lessons"},
    {"bot.consensus"},
    {"bot.experiment"},
    {"bot.app"},
    {"bot.demo"},
    {"bot.cli.base"},
    {"bot.cli.offline", "bot.cli.live", "bot.cli.replies", "bot.cli.research", "bot.cli.reviews", "bot.cli.vetted"},
    {"bot.cli.channels"},
    {"bot.cli"},
    {"bot.__main__"},
]


def rank(module: str) -> int | None:
    """Where a module stands in the order; None for what is not ours."""
    for number, names in enumerate(ORDER):
        if any(module == name or module.startswith(f"{name}.") for name in names):
            return number
    assert module == "bot" or not module.startswith(("bot.", "models", "prompts")), (
        f"{module} has no place in the order"
    )
    return None


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} if node.module != "bot" else {f"bot.{alias.name}" for alias in node.names}
    return found


def test_imports_go_one_way() -> None:
    """No module imports one that stands below it; models and prompts import nothing of bot."""
    wrong = []
    for path in sorted([*ROOT.glob("bot/**/*.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("prompts/**/*.py")]):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        own = rank(module)
        for other in imports(path):
            theirs = rank(other)
            if own is not None and theirs is not None and theirs > own:
                wrong.append(f"{module} imports {other}")
    assert wrong == []


def test_the_architecture_names_every_module() -> None:
    """Whoever looks for a module finds in ARCHITECTURE.md what it is for."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    found = [*ROOT.glob("bot/*.py"), *ROOT.glob("bot/review/*.py"), *ROOT.glob("models/*.py")]
    assert [path.name for path in found if not path.name.startswith("__") and path.name not in text] == []


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    """The command line starts without torch, transformers, pyarrow, matplotlib, scikit-learn, pydantic and the like."""
    heavy = {"apprise", "torch", "transformers", "pyarrow", "matplotlib", "sklearn", "asyncpraw", "onnxruntime"}
    heavy |= {"pydantic"}
    code = f"import sys, bot.cli; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
