"""Jars that a benchmark needs and the product does not, named by an Ivy file beside it."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from kakou.settings import Settings
from kakou.stack.jars import pyspark_jars, require_java
from kakou.stack.steps import run_step


def fetch_jars(settings: Settings, ivy_file: Path, folder: Path, what: str, leave_out: str) -> Path:
    """A folder in ``folder`` with the jars of an Ivy file, fetched unless they are there.

    Args:
        what: the jars in words, for the error.
        leave_out: how to run without them, for the error.

    Raises:
        InstallError: Java is missing or the jars cannot be fetched.
    """
    folder /= hashlib.sha256(ivy_file.read_bytes()).hexdigest()[:12]
    if any(folder.glob("*.jar")):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files("kakou.stack").joinpath("ivysettings.xml")) as ivy_settings:
        run_step(
            [
                require_java(), "-Djava.net.useSystemProxies=true",
                f"-Dkakou.ivy.cache={settings.parts / 'ivy'}", "-cp", f"{pyspark_jars()}/*",
                "org.apache.ivy.Main", "-settings", ivy_settings, "-ivy", ivy_file, "-confs", "default",
                "-warn", "-types", "jar", "bundle", "-retrieve",
                folder / "[artifact]-[revision](-[classifier]).[ext]",
            ],
            what=f"{what} could not be fetched",
            mend=f"Check the network (https to Maven Central), or {leave_out}.",
        )  # fmt: skip
    return folder
