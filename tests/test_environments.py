"""What may become the server is asked first: a Python says what it has, and nothing else is ever given our program."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from errors_page import assert_shown
from farlab.host import environments, jupyter_versions
from farlab.host.failure import Failure
from pythons import PYTHONS


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def package(site: Path, name: str, version: str, **files: str) -> None:
    """A distribution as pip leaves one: its metadata, and modules of these texts."""
    (site / f"{name}-{version}.dist-info").mkdir(parents=True)
    for file, text in {"__init__": "raise SystemExit('imported')", **files}.items():
        (site / name).mkdir(exist_ok=True)
        (site / name / f"{file}.py").write_text(text)


def python_with(site: Path, path: Path) -> Path:
    """A Python that sees `site` and no other packages."""
    return program(path, f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} -S "$@"\n')


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:relative:.::{tmp_path / 'missing'}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def chosen(app: str | None = None, named: str | None = None) -> tuple[str, str, str]:
    """Path, app and title of what would be the server."""
    found, *rest = environments.choose(os.environ, named, app)
    return (found.python, *rest)


def refused(wanted: str | None = None, environment: str | None = None) -> dict[str, str]:
    with pytest.raises(Failure) as failure:
        chosen(wanted, environment)
    return vars(failure.value.info)


@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_answers(version: str, tmp_path: Path) -> None:
    package(tmp_path, "jupyter_server", "2.21.1", serverapp="    sock = Unicode(u'', config=True)")
    python = program(tmp_path / "python", f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {PYTHONS[version]} -S "$@"\n')
    found = environments.ask(str(python), os.environ)
    assert jupyter_versions.choice(found, None) == ("server", "Jupyter Server 2.21.1", None)


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/bash\ntouch ran-by-$$; exit 0\n",
        "#!/bin/sh\necho 'farlab-python 3.9'; echo '{'\n",
        "#!/bin/sh\necho; echo 'farlab-python 2.7'; echo '{}'\n",
        "#!/bin/sh\nexit 3\n",
        "#!/bin/cat\n",
        "no program at all",
    ],
)
def test_what_does_not_answer_as_a_python_is_none(path: Path, text: str) -> None:
    assert environments.ask(str(program(path / "python3", text)), os.environ) is None


WRAPPERS = {
    '#!/bin/bash\nexport SITE=1\necho loading modules >&2\nexec {real} "$@"\n': "JupyterLab 4.2.1",
    '#!/bin/sh -e\n{real} "$@"\n': "JupyterLab 4.2.1",
    "#!/usr/bin/env bash\nexec pyenv exec jupyter-lab\n": None,
    '#!/bin/bash\nexec /opt/jupyter/bin/jupyter-lab "$@"\n': None,
    "#!/bin/sh\necho 4.2.1; exit 3\n": None,
    "#!/bin/sh\necho 2.2.6\n": None,
    "#!/bin/cat\n": None,
}


@pytest.mark.parametrize("text", WRAPPERS)
def test_what_is_no_script_of_a_python_is_run_and_believed_if_it_tells_its_version(
    path: Path, tmp_path: Path, text: str
) -> None:
    real = program(tmp_path / "real", '#!/bin/sh\n[ "$1" = --version ] && echo 4.2.1\n')
    wrapper = program(path / "jupyter-lab", text.format(real=real))
    python_with(tmp_path / "empty", path / "python")  # a stranger that stands beside it
    if WRAPPERS[text]:
        found, app, title = environments.choose(os.environ, None, None)
        assert (found.python, found.program, app, title) == ("", str(wrapper), "lab", WRAPPERS[text])
        return
    words = refused()
    assert words["code"] == "no-jupyter"
    assert f"`{wrapper}" in words["message"]
    if "pyenv" in text or "/opt" in text:
        assert "not found" in words["detail"] or "No such file" in words["detail"]


def test_jupyter_itself_may_be_a_wrapper_and_a_text_is_run_by_sh(path: Path) -> None:
    tells = '[ "$1 $2" = "notebook --version" ] && echo 7.2.1\n'
    wrapper = program(path / "jupyter", tells)
    found, app, title = environments.choose(os.environ, None, None)
    assert found.wrapper
    assert (app, title) == ("notebook", "Jupyter Notebook 7.2.1")
    assert found.wrapper.argv == ["/bin/sh", str(wrapper), "notebook"]
    assert environments.choose(os.environ, str(wrapper), "notebook")[0].program == str(wrapper)


def test_a_script_whose_interpreter_is_gone_says_so(path: Path) -> None:
    wrapper = program(path / "jupyter-lab", "#!/nowhere/env/bin/python\n")
    words = refused()
    assert (words["code"], words["detail"]) == ("no-jupyter", f"{wrapper}: bad interpreter: /nowhere/env/bin/python")


def test_a_folder_of_path_may_begin_with_a_tilde_as_for_bash(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(path / "jupyter-lab", '#!/bin/sh\n[ "$1" = --version ] && echo 4.2.1\n')
    monkeypatch.setenv("HOME", str(path.parent))
    monkeypatch.setenv("PATH", f"~/{path.name}:/usr/bin:/bin")
    assert environments.choose(os.environ, None, None)[2] == "JupyterLab 4.2.1"


def test_a_wrapper_that_was_named_and_fails_is_no_environment(path: Path) -> None:
    wrapper = program(path / "jupyter-lab", "#!/bin/sh\nexit 3\n")
    words = refused(environment=str(wrapper))
    assert (words["code"], words["message"]) == ("no-environment", f"`{wrapper}` does not start")


def test_a_python_that_is_mentioned_in_a_script_is_found_however_it_is_written(path: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    package(site, "jupyter_server", "2.1.0", serverapp=" sock = Unicode(")
    package(site, "jupyterlab", "4.1.0")
    python = python_with(site, tmp_path / "my env's" / "bin" / "python3.11")
    beside = python_with(site, tmp_path / "venv" / "bin" / "python")
    os.symlink(python, path / "python3.11")
    heads = {
        f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n": str(python),
        f"#!{path}/python3.11 -s\n": f"{path}/python3.11",
        "#!/usr/bin/env python3.11\n": f"{path}/python3.11",
        "#!/usr/bin/env -S python3.11 -I\n": f"{path}/python3.11",
    }
    for head, expected in heads.items():
        program(path / "jupyter-lab", head)
        assert chosen() == (expected, "lab", "JupyterLab 4.1.0")
    program(beside.with_name("jupyter-lab"), "#!/bin/sh\n'''exec' \"$(dirname \"$0\")/python\" \"$0\" \"$@\"\n' '''\n")
    (path / "jupyter-lab").unlink()
    os.symlink(beside.with_name("jupyter-lab"), path / "jupyter-lab")
    assert chosen() == (str(beside), "lab", "JupyterLab 4.1.0")


def test_the_python_beside_a_script_is_asked_and_the_next_on_path_taken(path: Path, tmp_path: Path) -> None:
    """As with the shims of pyenv, where two versions are chosen."""
    program(path / "jupyter-lab", "#!/usr/bin/env bash\nexec pyenv exec jupyter-lab\n")
    python_with(tmp_path / "empty", path / "python")
    package(tmp_path / "site", "jupyter_server", "2.1.0", serverapp=" sock = Unicode(")
    found = python_with(tmp_path / "site", path / "python3")
    assert chosen() == (str(found), "server", "Jupyter Server 2.1.0")


OLD = [
    ({"jupyterlab": "3.0.14", "jupyter_server": "1.4.1"}, None, "JupyterLab 3.0.14 with Jupyter Server 1.4.1"),
    ({"jupyterlab": "2.2.6", "notebook": "6.1.4"}, None, "JupyterLab 2.2.6; farlab needs 3 or later"),
    ({"jupyterlab": "2.2.6", "jupyter_server": "1.24.0"}, None, "JupyterLab 2.2.6; farlab needs 3 or later"),
    ({"notebook": "6.1.4"}, None, "Jupyter Notebook 6.1.4 without Jupyter Server"),
    ({"jupyter_server": "1.8.0"}, None, "Jupyter Server 1.8.0; farlab needs"),
    ({"notebook": "6.1.4", "jupyter_server": "1.24.0"}, "notebook", "Jupyter Notebook 6.1.4; `--app notebook` needs"),
]


@pytest.mark.parametrize(("packages", "wanted", "said"), OLD)
def test_a_jupyter_that_is_too_old_is_refused_by_its_version(
    path: Path, tmp_path: Path, packages: dict[str, str], wanted: str | None, said: str
) -> None:
    for name, version in packages.items():
        package(tmp_path / "site", name, version)
    python = python_with(tmp_path / "site", path / "python3")
    program(path / "jupyter-lab", f"#!{python}\n")
    for words in (refused(wanted), refused(wanted, str(python))):
        assert words["code"] == "no-jupyter"
        assert f"`{python}` has {said}" in words["message"]
        assert re.search(r"or later|≥ 1.9", words["message"])
        if "JupyterLab 3.0" in said:
            message = f"gpu1: {words['message']}"  # the laptop puts the host's name before it
            assert_shown(message, "no-jupyter", 1, names={"gpu1": "gpu1", "/opt/anaconda/bin/python": str(python)})


def test_a_server_without_a_version_is_judged_by_what_is_in_it(path: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "jupyter_server").mkdir(parents=True)
    (site / "jupyter_server/__init__.py").touch()
    python_with(site, path / "python3")
    for text, is_one in (("port = Integer(", False), ("    sock = Unicode(", True)):
        (site / "jupyter_server/serverapp.py").write_text(text)
        assert (
            jupyter_versions.choice(environments.ask(str(path / "python3"), os.environ), None)[0] == "server"
        ) is is_one


def test_what_an_upgrade_left_behind_does_not_count() -> None:
    server = {"versions": ["1.4.1", "2.14.2"], "app": False, "knows_sock": None}
    assert jupyter_versions.choice({"jupyter_server": server}, None)[0] == "server"
    assert jupyter_versions.numbers("1.10.0rc1") > jupyter_versions.numbers("1.9") > jupyter_versions.numbers("1.8.9")


def test_nothing_of_the_working_directory_is_imported_when_a_python_is_asked(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    for name in ("importlib", "json", "re", "sys", "jupyterlab", "encodings"):
        package(theirs, name, "9")
        (theirs / name / "__init__.py").write_text(f"open('{tmp_path}/owned', 'w')")
    program(theirs / "python3", f"#!/bin/sh\ntouch {tmp_path}/owned\n")
    os.symlink(sys.executable, path / "python3")
    monkeypatch.chdir(theirs)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    for value in ("", ":", f":{tmp_path}/nothing"):
        monkeypatch.setenv("PYTHONPATH", value)
        assert environments.ask(str(path / "python3"), os.environ) is not None
    assert [each for each in environments.candidates(os.environ) if "theirs" in each.program] == []
    assert not (tmp_path / "owned").exists()
