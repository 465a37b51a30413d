"""Edge: the jars of the Kafka broker and of Spark's Kafka source, by the Ivy that comes inside pyspark."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from kakou.errors import InstallError
from kakou.process_lock import one_after_another
from kakou.settings import Settings
from kakou.stack.steps import run_step

JarSet = Literal["kafka", "spark"]
JAR_SETS: Final[tuple[JarSet, ...]] = ("kafka", "spark")
LEAST_JAVA: Final = 17


def jars_dir(settings: Settings, name: JarSet) -> Path:
    """Folder of a set of jars."""
    return settings.parts / "jars" / name


def pyspark_jars() -> Path:
    """The jars that pyspark brings.

    Raises:
        InstallError: pyspark is not installed.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise InstallError("pyspark is not installed. Run `make install`.")
    return Path(spec.origin).parent / "jars"


def java_home() -> Path | None:
    """Home of the Java to use: JAVA_HOME, else the ``java`` on the path; None where both are too old."""
    named = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    for program in ([Path(named) / "bin" / "java"] if named else []) + ([Path(on_path)] if on_path else []):
        if program.is_file() and java_version(program) >= LEAST_JAVA:
            return program.resolve().parent.parent
    return None


def java_version(program: Path) -> int:
    """Major version of a ``java``; 0 where it does not say."""
    said = subprocess.run([str(program), "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    return int(found.group(1)) if found else 0


def require_java() -> Path:
    """Path of the ``java`` program.

    Raises:
        InstallError: there is none of version 17 or later.
    """
    home = java_home()
    if home is None:
        raise InstallError(
            f"Java {LEAST_JAVA} or later is missing. Run `make install`, or set JAVA_HOME to one."
        )
    return home / "bin" / "java"


def _ivy_file(name: JarSet) -> str:
    return resources.files("kakou.stack").joinpath(f"ivy-{name}.xml").read_text(encoding="utf-8")


def jars_ready(settings: Settings, name: JarSet) -> bool:
    """Whether the set is there, whole and of the versions that the Ivy file names."""
    stamp = jars_dir(settings, name) / ".complete"
    return stamp.is_file() and stamp.read_text() == hashlib.sha256(_ivy_file(name).encode()).hexdigest()


def fetch_jars(settings: Settings, name: JarSet) -> None:
    """Fetches a set of jars unless it is there; the folder appears only when it is whole.

    Raises:
        InstallError: Java is missing or the jars cannot be fetched.
    """
    with one_after_another(settings.parts / ".jars.lock"):
        if jars_ready(settings, name):
            return
        target = jars_dir(settings, name)
        draft = target.with_name(f".{name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        package = resources.files("kakou.stack")
        with (
            resources.as_file(package.joinpath("ivysettings.xml")) as ivy_settings,
            resources.as_file(package.joinpath(f"ivy-{name}.xml")) as ivy_file,
        ):
            run_step(
                [
                    require_java(),
                    "-Djava.net.useSystemProxies=true",
                    f"-Dkakou.ivy.cache={settings.parts / 'ivy'}",
                    "-cp",
                    f"{pyspark_jars()}/*",
                    "org.apache.ivy.Main",
                    *("-settings", ivy_settings, "-ivy", ivy_file, "-confs", "default", "-warn"),
                    *("-types", "jar", "bundle"),
                    *("-retrieve", draft / "[artifact]-[revision](-[classifier]).[ext]"),
                ],
                what=f"The jars of {name} could not be fetched",
                mend="Check the network (https to Maven Central), then run `make install` again.",
            )
        if not any(draft.glob("*.jar")):
            raise InstallError(
                f"Ivy fetched no jar of {name}. Remove {settings.parts} and run `make install` again."
            )
        (draft / ".complete").write_text(hashlib.sha256(_ivy_file(name).encode()).hexdigest())
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
