"""An audit that nobody answered is no audit that found nothing."""

import subprocess

import pytest

from tests import audit

SOUND = {"name": "click", "version": "8.1", "vulns": []}
FLAWED = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "inhouse", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize("found", [None, {}, {"dependencies": []}, {"dependencies": [UNKNOWN]}])
def test_no_answer_is_said_by_name(found: dict | None) -> None:
    code, lines = audit.verdict(found)
    assert code == 0
    assert lines == ["pip-audit SKIPPED: no vulnerability service can be reached from here; nothing was audited"]


def test_a_vulnerability_is_a_failure() -> None:
    code, lines = audit.verdict({"dependencies": [SOUND, FLAWED, UNKNOWN]})
    assert code == 1
    assert lines[0] == "old 1.0: PYSEC-1, repaired in 1.1"


def test_what_was_audited_and_what_not() -> None:
    assert audit.verdict({"dependencies": [SOUND, UNKNOWN]}) == (
        0, ["pip-audit: 1 packages without a known vulnerability; the service does not know inhouse"],
    )  # fmt: skip


def test_all_are_asked_about_once_one_was_answered(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    asked = []

    def answer(*options: str, limit_s: float) -> dict:
        asked.append(options[0])
        return {"dependencies": [SOUND] if options[0] == "--no-deps" else [SOUND, FLAWED]}

    monkeypatch.setattr(audit, "answer", answer)
    assert audit.main() == 1
    assert asked == ["--no-deps", "--skip-editable"]
    assert "old 1.0" in capsys.readouterr().out


def test_a_service_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(command: list[str], timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", silent)
    assert audit.answer(limit_s=1) is None
