"""Our touches of Snakemake: its public face, and a short list of it."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKFLOW = {"configfiles", "deployment_settings", "is_main_process"}
"""attributes of `workflow` that the Snakefile and the rules read"""
IMPORTS = {
    "snakemake.utils.min_version",
    "snakemake_interface_logger_plugins.base.LogHandlerBase",
    "snakemake_interface_logger_plugins.common.LogEvent",
    "snakemake_interface_logger_plugins.settings.LogHandlerSettingsBase",
}
LOADED = {"sys.modules.get", "importlib.import_module"}
CORRECTED = {"ptft/runtime/slurm_plugin.py"}
"""modules that reach into loaded modules of Snakemake, or of its plugins; the list only shrinks"""


def rules() -> str:
    """The Snakefile and all rules, without comments."""
    files = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
    return "\n".join(re.sub(r"#.*", "", file.read_text()) for file in files)


def test_rules_read_three_attributes_of_the_workflow():
    assert set(re.findall(r"\bworkflow\.(\w+)", re.sub(r'"[^"\n]*"', "", rules()))) == WORKFLOW
    assert re.findall(r"\b(?:dag|persistence|scheduler|logger_manager)\b", rules()) == []


def test_what_is_imported_of_snakemake_is_public():
    found = set(re.findall(r"^from (snakemake\.\S+) import (\w+)", rules(), re.M))
    imported = {".".join(pair) for pair in found}
    reached = set()
    for file in (ROOT / "scripts").rglob("*.py"):
        name = str(file.relative_to(ROOT / "scripts"))
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and _foreign(node.module):
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names if _foreign(alias.name)}
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in LOADED:
                reached |= {name} if "snakemake" in ast.unparse(node) else set()
    assert imported == IMPORTS
    assert reached <= CORRECTED


def _foreign(module: str | None) -> bool:
    return bool(module) and module.startswith("snakemake") and "plugin_ptft" not in module
