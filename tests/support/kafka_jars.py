"""Kafka as the jars of Maven Central and a JVM to run them: fetched once, into the checkout's cache."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

KAFKA_VERSION = "4.3.1"
JARS = Path(__file__).parents[2] / ".cache" / "kafka" / KAFKA_VERSION
OLDEST_JAVA = 17

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


class NoKafka(Exception):
    """No Kafka can be had here; the message says why."""


def java(heap: str, main: str, *arguments: str) -> list[str]:
    """The command that runs a class of Kafka's. Raises NoKafka."""
    options = [f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    return ["java", *options, "-cp", f"{jars()}/*", main, *arguments]


def jars() -> Path:
    """The directory of Kafka's jars, fetched by Maven unless they are there. Raises NoKafka."""
    if JARS.is_dir():
        return JARS
    if shutil.which("mvn") is None:
        raise NoKafka("no Kafka: neither KAFKA_BOOTSTRAP_SERVERS nor Docker nor Maven (mvn) is there")
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with JARS.parent.joinpath("lock").open("w") as lock, tempfile.TemporaryDirectory(dir=JARS.parent) as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if JARS.is_dir():  # another process was first
            return JARS
        (Path(scratch) / "pom.xml").write_text(POM)
        fetched = subprocess.run(
            ["mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies", f"-DoutputDirectory={scratch}/jars"],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode:
            raise NoKafka(f"Maven could not fetch Kafka {KAFKA_VERSION}: {fetched.stdout.strip()[-500:]}")
        Path(scratch, "jars").rename(JARS)
    return JARS


def check_java() -> None:
    """Raise NoKafka unless a ``java`` is on PATH that is new enough."""
    if java_major() < OLDEST_JAVA:
        raise NoKafka(f"no Kafka: Java {OLDEST_JAVA} or newer is needed to run it here")


def java_major() -> int:
    """The major version of the ``java`` on PATH, 0 without one."""
    if shutil.which("java") is None:
        return 0
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match.group(1)) if match else 0
