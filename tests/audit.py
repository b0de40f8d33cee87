"""Known vulnerabilities of what is installed; where nobody can be asked, that is said: nothing passes in silence.

    make audit

pip-audit asks a service on the internet about every package. One package is asked about first, so that a machine
without the service waits for seconds only.
"""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

_ASKED_FIRST = "click"
_FIRST_S, _ALL_S = 8, 600
_OPTIONS = ("--format", "json", "--progress-spinner", "off", "--timeout", "5")


def answer(*options: str, limit_s: float) -> dict[str, Any] | None:
    """What pip-audit found; None when it got no answer."""
    command = [sys.executable, "-m", "pip_audit", *_OPTIONS, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return None
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def verdict(found: dict[str, Any] | None) -> tuple[int, list[str]]:
    """Exit code, and lines to print: 1 with a known vulnerability."""
    packages = (found or {}).get("dependencies", [])
    asked = [package for package in packages if "vulns" in package]
    if not asked:
        return 0, ["pip-audit SKIPPED: no vulnerability service can be reached from here; nothing was audited"]
    lines = [
        f"{package['name']} {package['version']}: {flaw['id']}, repaired in {', '.join(flaw['fix_versions']) or 'none'}"
        for package in asked
        for flaw in package["vulns"]
    ]
    if lines:
        return 1, [*lines, "pip-audit: known vulnerabilities: install a repaired version, or say in trust.md why not"]
    unknown = [package["name"] for package in packages if "vulns" not in package]
    said = f"; the service does not know {', '.join(unknown)}" if unknown else ""
    return 0, [f"pip-audit: {len(asked)} packages without a known vulnerability{said}"]


def main() -> int:
    """Ask, say, and give the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text(f"{_ASKED_FIRST}=={version(_ASKED_FIRST)}\n")
        first = answer("--no-deps", "--disable-pip", "-r", str(listed), limit_s=_FIRST_S)
    found = first
    if first and any("vulns" in package for package in first.get("dependencies", [])):
        found = answer("--skip-editable", limit_s=_ALL_S)
    code, lines = verdict(found)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
