"""Environments as conda, virtualenv, uv, poetry and pyenv lay them out: found, entered, used for want of others.

No conda is to be had here: the layout is laid out as conda does it (`conda-meta`, `environments.txt`, `activate.d`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import steps
from address import session
from bed import LAB, Bed, Host, Laptop
from farlab.host import environments
from farlab.host.failure import Failure
from farlab.host.known_environments import known
from test_environments import package, program, python_with


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    for name in ("CONDA_EXE", "CONDA_PREFIX", "MAMBA_ROOT_PREFIX", "WORKON_HOME", "PYENV_ROOT", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("farlab.host.known_environments._CONDA_ROOTS", ("~/*",))
    return tmp_path


def environment(path: Path, *, conda: bool = False, **packages: str) -> Path:
    """One with these packages; with JupyterLab it has a program of it."""
    site = path / "lib/python3.11/site-packages"
    for name, version in packages.items():
        package(site, name, version, **({"serverapp": " sock = Unicode("} if name == "jupyter_server" else {}))
    python_with(site, path / "bin/python")
    if conda:
        (path / "conda-meta").mkdir(parents=True)
    else:
        (path / "pyvenv.cfg").touch()
    if "jupyterlab" in packages:
        program(path / "bin/jupyter-lab", f"#!{path}/bin/python\n")
    return path


LAB4 = {"jupyterlab": "4.1.0", "jupyter_server": "2.1.0"}


def names(directory: Path | None = None) -> list[str]:
    return [each.name for each in known(os.environ, str(directory) if directory else None)]


def refused(**words: str) -> dict[str, object]:
    with pytest.raises(Failure) as failure:
        environments.choose(os.environ, words.get("named"), None)
    return vars(failure.value.info)


def test_environments_are_found_wherever_they_are(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = environment(home / "mambaforge", conda=True)
    environment(root / "envs/geo", conda=True)
    environment(home / "elsewhere/deep/odd", conda=True)
    (home / ".conda").mkdir()
    (home / ".conda/environments.txt").write_text(f"{root}\n{home}/elsewhere/deep/odd\n{home}/gone\n")
    environment(home / "data/envs/far", conda=True)
    (home / ".condarc").write_text("channels:\n  - conda-forge\nenvs_dirs:\n  - ~/data/envs\n  - /nowhere\n")
    environment(home / "more/envs/near", conda=True)
    (home / ".config/conda").mkdir(parents=True)
    (home / ".config/conda/.condarc").write_text('envs_dirs: ["~/more/envs", /nowhere]\nchannels: [defaults]\n')
    monkeypatch.setenv("MAMBA_ROOT_PREFIX", str(environment(home / "m/r", conda=True)))
    environment(home / "m/r/envs/micro", conda=True)
    environment(home / ".virtualenvs/web")
    environment(home / ".cache/pypoetry/virtualenvs/thesis-a1b2-py3.11")
    environment(home / "thesis/.venv")
    environment(home / "lab")
    (home / "Desktop").mkdir()
    found = names(home / "thesis")
    assert found[0] == "thesis/.venv"
    assert {"base", "geo", "odd", "far", "near", "micro", "web", "thesis-a1b2-py3.11", "lab"} <= set(found)
    assert len(found) == len(set(found)) + 1  # two roots
    assert {"gone", "Desktop", "mambaforge", "envs"}.isdisjoint(found)


def test_what_is_named_is_entered_as_activating_it_would(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = environment(home / "miniconda3", conda=True, **LAB4)
    geo = environment(root / "envs/geo", conda=True, **LAB4)
    scripts = geo / "etc/conda/activate.d"
    scripts.mkdir(parents=True)
    (scripts / "proj.sh").write_text(
        'echo hello\nexport PROJ_DATA="$CONDA_PREFIX/share/proj"\nexport MINE="$MY_API!"\n'
    )
    (geo / "conda-meta/state").write_text(json.dumps({"env_vars": {"MY_API": "x y"}}))
    monkeypatch.setenv("CONDA_PREFIX", str(root))
    monkeypatch.setenv("PATH", f"{root}/bin:{os.environ['PATH']}")
    found, _, title = environments.choose(os.environ, "geo", None)
    assert title == "JupyterLab 4.1.0"
    assert found.variables == {
        "PATH": f"{geo}/bin:{home}/bin:/usr/bin:/bin", "CONDA_PREFIX": str(geo), "CONDA_DEFAULT_ENV": "geo",
        "CONDA_SHLVL": "1", "MY_API": "x y", "PROJ_DATA": f"{geo}/share/proj", "MINE": "x y!",
    }  # fmt: skip
    assert environments.choose(os.environ, "base", None)[0].variables["CONDA_DEFAULT_ENV"] == "base"


def test_the_only_environment_with_jupyter_is_used_and_of_several_each_is_offered(home: Path) -> None:
    environment(home / "miniforge3", conda=True)
    environment(home / "miniforge3/envs/rnaseq", conda=True, ipykernel="6.1")
    environment(home / "miniforge3/envs/lab", conda=True, **LAB4)
    found, app, _ = environments.choose(os.environ, None, None)
    assert (found.name, app, found.is_own_choice, found.kernel) == ("lab", "lab", True, None)
    found, _, _ = environments.choose(os.environ, "rnaseq", None)
    assert found.kernel is not None
    assert (found.name, found.kernel.name) == ("lab", "rnaseq")
    words = refused(named="rnasq")
    assert (words["code"], words["hint"], words["names"]) == ("no-environment", "near", ("rnaseq",))
    environment(home / "ours", **LAB4)
    words = refused()
    assert (words["code"], words["hint"]) == ("no-jupyter", "several")
    assert words["names"] == ("lab", "ours")
    own = environment(home / "thesis/.venv", **LAB4)
    found, _, _ = environments.choose(os.environ, None, None, str(home / "thesis"))
    assert found.python == f"{own}/bin/python"


@pytest.mark.parametrize("text", ["exit 3\n", "while :; do sleep 1; done\n", "exec cat\n"])
def test_a_script_that_goes_wrong_costs_its_own_variables_only(
    home: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farlab.host.known_environments.TIMEOUT", 0.5)
    geo = environment(home / "miniconda3/envs/geo", conda=True, **LAB4)
    (geo / "etc/conda/activate.d").mkdir(parents=True)
    (geo / "etc/conda/activate.d/x.sh").write_text(text)
    environment(home / "miniconda3", conda=True)
    assert environments.choose(os.environ, "geo", None)[0].variables["CONDA_DEFAULT_ENV"] == "geo"


LAY = f"""
set -e
m=~/miniforge3
e=$m/envs/rnaseq
mkdir -p $m/conda-meta $m/bin $e/bin $e/conda-meta $e/site $e/etc/conda/activate.d
ln -s {LAB} $m/envs/lab
ln -s /usr/bin/python3 $m/bin/python
ln -s {LAB}/lib/python3*/site-packages/* $e/site
rm -f $e/site/jupyterlab* $e/site/jupyter_server* $e/site/notebook* $e/site/nbclassic*
printf '#!/bin/sh\\nPYTHONPATH=%s exec /usr/bin/python3 -S "$@"\\n' $e/site >$e/bin/python
chmod +x $e/bin/python
echo 'export PROJ_DATA=here' >$e/etc/conda/activate.d/a.sh
"""


def test_lab_in_one_environment_and_the_kernel_in_another(laptop: Laptop, host: Host, bed: Bed) -> None:
    """The usual layout: neither of them is active, and the user names the one in which they work."""
    bed.fresh_home("nojup")
    laid = host.run("nojup", ["sh", "-c", LAY])
    assert laid.returncode == 0, laid
    with session(laptop, "nojup") as address:
        assert any("the environment `lab` runs" in note for note in address.connected["notes"]), address.connected
    with session(laptop, "nojup", "--env", "rnaseq") as address, address.kernel() as kernel:
        assert any("with the kernel of `rnaseq`" in note for note in address.connected["notes"]), address.connected
        shown = kernel.run("import os; print(os.environ['PROJ_DATA'], os.environ['CONDA_DEFAULT_ENV'])")
        assert shown == "here rnaseq\n"
    _, error = steps.refused(laptop, "connect", "nojup", "--env", "rnasq", "--no-browser")
    assert (error["code"], error["hint"]) == ("no-environment", "did you mean `farlab connect nojup --env rnaseq`?")
    bed.fresh_home("nojup")


def test_envs_shows_what_is_there_and_what_would_be_used(laptop: Laptop, host: Host, bed: Bed) -> None:
    bed.fresh_home("nojup")
    assert host.run("nojup", ["sh", "-c", LAY]).returncode == 0
    ran = steps.done(laptop, "envs", "nojup", "--json")
    found = {each["name"]: each for each in ran.json["environments"]}
    assert set(found) == {"base", "lab", "rnaseq"}
    assert [name for name in found if found[name]["used"]] == ["lab"]
    assert found["lab"]["jupyter"].startswith("JupyterLab 4")
    assert (found["rnaseq"]["jupyter"], found["base"]["kernels"]) == (None, [])
    assert ran.seconds < 20
    shown = steps.done(laptop, "envs", "nojup").out
    assert "* lab  JupyterLab 4" in shown
    assert "the only one with Jupyter" in shown
    bed.fresh_home("nojup")
    ran = steps.done(laptop, "envs", "alice", "--json")
    [used] = [each for each in ran.json["environments"] if each["used"]]
    assert used["why"] == "your login shell finds it"
    steps.wait_until_nothing_runs(laptop)
