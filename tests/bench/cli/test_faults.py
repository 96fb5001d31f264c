"""Tests how refusals by the system, and SIGTERM, are told: one paragraph each, and no traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import time
import weakref
from queue import SimpleQueue

import pytest

from bench.cli.commands import check
from bench.cli.main import main
from tests.bench.suites import perfect, write_suite


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EFBIG, errno.EIO])
def test_what_the_system_refuses_is_one_paragraph(tmp_path, monkeypatch, capsys, number):
    def full(options):
        raise OSError(number, os.strerror(number), str(tmp_path / "x"))

    monkeypatch.setattr(check, "execute", full)
    assert main(["check", "s.yaml"]) == 2
    said = capsys.readouterr().err
    assert os.strerror(number) in said
    assert "--results" in said
    assert "Traceback" not in said


def test_results_that_are_a_file_or_a_link_to_nowhere_are_told(tmp_path, capsys):
    suite = write_suite(tmp_path, [perfect()])
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "else")
    for name in ("file", "link"):
        assert main(["run", str(suite), "--results", str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("bench run: ")
        assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("hang_up")
def test_sigterm_and_a_closed_terminal_are_taken_as_an_interruption(number, monkeypatch, capsys):
    before = signal.getsignal(number)
    monkeypatch.setattr(check, "execute", lambda _: os.kill(os.getpid(), number))
    assert main(["check", "s.yaml"]) == 130
    assert "goes on from here" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_what_nohup_has_ignored_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr(check, "execute", lambda _: os.kill(os.getpid(), signal.SIGHUP) or 0)
        assert main(["check", "s.yaml"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_within_a_callback_whose_exceptions_go_nowhere_is_not_lost(number, monkeypatch, capsys):
    class Held:
        pass

    def long(_: object) -> int:
        held = Held()
        seen = weakref.ref(held, lambda _: signal.raise_signal(number))
        del held
        time.sleep(20)
        return seen() is None

    monkeypatch.setattr(check, "execute", long)
    began = time.monotonic()
    assert main(["check", "suite.yaml"]) == 130
    assert time.monotonic() - began < 10
    assert "interrupted; the same command goes on from here" in (said := capsys.readouterr().err)
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("hang_up")
def test_an_interruption_that_does_not_wake_what_waits_comes_again(number, monkeypatch, capsys):
    def elsewhere() -> None:
        time.sleep(0.2)  # until the main thread waits; were it not yet, the signal would be noticed at once
        signal.pthread_kill(threading.get_ident(), number)

    def waits(_: object) -> int:
        threading.Thread(target=elsewhere).start()
        SimpleQueue().get(timeout=20)
        return 0

    monkeypatch.setattr(check, "execute", waits)
    before, began = threading.active_count(), time.monotonic()
    assert main(["check", "suite.yaml"]) == 130
    assert time.monotonic() - began < 15
    assert "interrupted; the same command goes on from here" in capsys.readouterr().err
    assert threading.active_count() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_a_library_drops_comes_again_and_its_clean_up_is_left_alone(number, monkeypatch, capsys):
    cleaned: list[str] = []

    def works_on(_: object) -> int:
        for _ in range(3):  # as an import that tries what may be missing
            with contextlib.suppress(BaseException):
                signal.raise_signal(number)
                time.sleep(20)
        try:
            time.sleep(20)
        finally:
            end = time.monotonic() + 0.5  # sleeps would go on behind a signal, too
            while time.monotonic() < end:
                time.sleep(0.01)
            cleaned.append("whole")
        return 0

    monkeypatch.setattr(check, "execute", works_on)
    before = signal.getsignal(signal.SIGTERM)
    began = time.monotonic()
    assert main(["check", "suite.yaml"]) == 130
    assert time.monotonic() - began < 15
    assert cleaned == ["whole"]
    assert "interrupted; the same command goes on from here" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_interruption_does_not_cut_off_what_is_said_of_the_first(monkeypatch):
    said: list[str] = []

    class Impatient:
        def write(self, text: str) -> None:
            signal.raise_signal(signal.SIGINT)
            said.append(text)

        def flush(self) -> None:
            pass

    monkeypatch.setattr(check, "execute", lambda _: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(sys, "argv", ["bench", "check", "suite.yaml"])
    monkeypatch.setattr(sys, "stderr", Impatient())
    before = signal.getsignal(signal.SIGINT)
    try:
        assert main() == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted; the same command goes on from here" in "".join(said)


def test_other_exceptions_that_go_nowhere_are_told_as_ever(monkeypatch):
    told: list[object] = []

    def fails(_: object) -> int:
        seen = weakref.ref(held := type("Held", (), {})(), lambda _: 1 / 0)
        del held
        return int(seen() is not None)

    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    monkeypatch.setattr(check, "execute", fails)
    assert main(["check", "suite.yaml"]) == 0
    assert told == [ZeroDivisionError]
