"""What the command prints on any terminal, and the names of files that it makes of titles."""

import io
import os
import subprocess
import sys

import pytest

from ganablate.__main__ import main


@pytest.fixture
def told(monkeypatch):
    """The command in this process, on a terminal of some encoding: its exit code, and what it printed."""

    def command(encoding, *arguments):
        monkeypatch.setattr(sys, "argv", ["ganablate", *arguments])
        screens = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
        for name, screen in zip(("stdout", "stderr"), screens, strict=True):
            monkeypatch.setattr(sys, name, screen)
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *(screen.buffer.getvalue().decode(encoding) for screen in screens)

    return command


STUDY = """from spaces import Study
study = Study(name={name!r}, recipe="ring8_gan", rows={{"α ↓": {{}}, "таблица": {{"aw": "normalized"}}}}, seeds=1,
    metrics=("fid_final",), note="± 日本")
"""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_terminal_that_lacks_letters_is_written_to(store, tmp_path, monkeypatch, told, encoding):
    """Table, plan, paths and mistakes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(STUDY.format(name="карта"), encoding="utf-8")
    code, printed, _ = told(encoding, "report", "study.py")
    assert not code
    assert "table.csv" in printed
    assert "таблица" in (tmp_path / "runs" / "reports" / "карта" / "table.md").read_text(encoding="utf-8")
    for arguments in (["plan", "study.py"], ["why", "study.py", "таблица"], ["list"]):
        code, printed, complaint = told(encoding, *arguments)
        assert (code, complaint) == (None if code is None else 0, "")
        assert printed
    code, _, complaint = told(encoding, "why", "study.py", "日本")
    assert code == 2
    assert complaint.startswith("ganablate: row ")


@pytest.mark.parametrize("name", ["x" * 300, "..", ".hidden", "../../out", "日" * 100, "таблица\n", "a/b"])
def test_a_report_has_a_folder_of_its_own_whatever_the_title(store, tmp_path, monkeypatch, told, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(STUDY.format(name=name), encoding="utf-8")
    code, *_ = told("utf-8", "report", "study.py")
    assert not code
    (folder,) = (store.storage / "reports").iterdir()
    assert (folder / "table.csv").exists()
    assert folder.name.rpartition("-")[0]
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "study.py"}


@pytest.mark.long
@pytest.mark.process
def test_files_are_in_utf_8_whatever_the_locale(store, tmp_path, monkeypatch):
    """Under one whose own letters are ASCII, that of names of files included."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(STUDY.format(name="карта"), encoding="utf-8")
    ascii_ = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    command = [sys.executable, "-m", "ganablate", "report", "study.py"]
    done = subprocess.run(command, env=os.environ | ascii_, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = (store.storage / "reports").iterdir()
    assert folder.name.isascii()
    assert "таблица" in (folder / "table.md").read_text(encoding="utf-8")
