#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker/ without a Docker engine: both files are read by tools that know them, the image lacks no library, and what compose would run is run as plain
processes in the same order: Kafka with the settings of its container, PostgreSQL with its user and password, each role with its command, its configuration,
its secrets and its health check. Only places are others: a container's paths and host names are put in place by name (Stack.mapped)."""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import harness  # noqa: E402
import kafka  # noqa: E402
import keep  # noqa: E402
import postgres  # noqa: E402
from harness import expect  # noqa: E402

DOCKER = harness.ROOT / "docker"
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
SURVEY = [("Wouldn't it be nice if the AcmePhone had a dark mode?", "2026-11-01"), ("The acme app crashes all the time, I am very disappointed.", "2026-11-02"),
          ("I love my acme phone, the support was great!", "2026-11-03"), ("I wish acme sold spare batteries.", "2026-11-04")]


def output(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)
    expect(done.returncode == 0, f"{shlex.join(map(str, command))} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def compose():
    """compose.yml as it is meant: anchors merged, ${NAME:-default} put in."""
    return json.loads(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", json.dumps(yaml(DOCKER / "compose.yml"))))


def yaml(path):
    return json.loads(output("fy-tool", "--dump", "--resolve", "--mode", "json-oneline", path))


def dockerfile():
    """(instruction, rest) of each, continued lines joined."""
    text = re.sub(r"\\\n", " ", (DOCKER / "Dockerfile").read_text(encoding="utf-8"))
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def exec_form(name):
    """The words of the last ENTRYPOINT, CMD or HEALTHCHECK."""
    rest = [rest for instruction, rest in dockerfile() if instruction == name][-1]
    return json.loads(rest[rest.index("["):])


# --- the files themselves ---

def the_dockerfile_is_two_stages_from_what_the_context_holds():
    rows = dockerfile()
    expect({row[0] for row in rows} <= INSTRUCTIONS, f"unknown instructions: {rows}")
    expect([rest.split()[0] for name, rest in rows if name == "FROM"] == ["debian:12-slim"] * 2, "not two stages on debian:12-slim")
    expect([rest for name, rest in rows if name == "USER"] == ["10001:10001"], "the user is not 10001")
    ignored = (harness.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    expect("*" in ignored, ".dockerignore lets everything in")
    for name, rest in rows:
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                expect((harness.ROOT / source).exists() and source in allowed, f"COPY {source}: not in the context")
        if name == "RUN":
            output("sh", "-n", "-c", rest)
    expect(exec_form("HEALTHCHECK") == ["earshot", "status", "--quiet"], "the health check is another")


def the_image_lacks_no_library():
    """Whatever the programs link is in a package that the second stage installs, or in one that every Debian has."""
    listed = {line.split()[1] for line in (DOCKER / "packages").read_text(encoding="utf-8").splitlines() if line.startswith("run ")}
    everywhere = {"libc6", "libgcc-s1", "libstdc++6", "libasan8", "libubsan1", "libtsan2"}
    for program in (harness.BUILD / "bin").iterdir():
        needed = re.findall(r"NEEDED.*\[(.+)\]", output("readelf", "-d", program))
        places = dict(re.findall(r"^\s*(\S+) => (\S+)", output("ldd", program), re.M))
        for library in needed:
            path = os.path.realpath(places[library])
            package = output("dpkg", "-S", re.sub(r"^/usr", "*", path)).split(":")[0]
            expect(package in listed | everywhere, f"{program.name} needs {library} of {package}, which docker/packages does not name for 'run'")


def compose_reads_its_file():
    if shutil.which("docker-compose") is None:
        harness.skip("docker-compose is not installed")
    output("docker-compose", "-f", DOCKER / "compose.yml", "config", "--quiet")
    whole = compose()
    for name in ("collect", "process", "sink"):
        service = whole["services"][name]
        expect(service["command"] == ["run", name], f"{name} runs {service['command']}")
        expect(service["read_only"] and service["user"] == "10001:10001" and service["cap_drop"] == ["ALL"], f"{name} may do more than it needs")
    for name, service in whole["services"].items():
        for secret in service.get("secrets", []):
            expect(secret in whole["secrets"], f"{name} wants the secret {secret}")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            expect((DOCKER / source).exists() if source.startswith(".") else source in whole["volumes"], f"{name} mounts {volume}, which is not there")
            expect(not source.startswith(".") or volume.endswith(":ro"), f"{name} may write to {source}")


# --- the same commands as plain processes ---

def postgres_started(whole, folder):
    """PostgreSQL as its image starts it on an empty volume: user, password and database, then the mounted scripts. `folder`: a copy of docker/."""
    service = whole["services"]["postgres"]
    given = service["environment"]
    secrets = {f"/run/secrets/{name}": folder / whole["secrets"][name]["file"] for name in service["secrets"]}
    database = postgres.Postgres(user=given["POSTGRES_USER"], password=secrets[given["POSTGRES_PASSWORD_FILE"]].read_text(encoding="ascii"))
    database.start()
    try:
        if given["POSTGRES_DB"] != "postgres":
            database.create(given["POSTGRES_DB"])
        for volume in service["volumes"]:
            source, target = volume.split(":")[:2]
            if target.startswith("/docker-entrypoint-initdb.d/"):
                expect(target.endswith(".sql"), f"{target} is no SQL")
                script = (folder / source).read_text(encoding="utf-8")
                for place, here in secrets.items():
                    script = script.replace(place, str(here))
                for _ in range(2):  # whoever runs it again does no harm
                    database.sql(script, given["POSTGRES_DB"])
    except BaseException:
        database.stop()
        raise
    return database


class Stack:
    """What `docker compose up` would run, in a temporary folder. Each service is started when what it depends on is healthy."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.whole = compose()
        self.services = {name: s for name, s in self.whole["services"].items() if s["image"] == "earshot"}
        shutil.copytree(DOCKER, self.folder / "docker", ignore=shutil.ignore_patterns("secrets", ".env"))
        output(self.folder / "docker" / "new-secrets")
        self.inbox = self.folder / "docker" / "inbox"
        self.running, self.logs = {}, {}
        self.broker = self.database = self.outside = None

    def __enter__(self):
        try:
            self.start_servers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.running.values():
            process.kill()
            process.wait()
        for server in (self.broker, self.database):
            if server is not None:
                server.stop()

    def secret(self, name):
        return self.folder / "docker" / self.whole["secrets"][name]["file"]

    def kafka_settings(self, facts):
        """As Kafka's image makes them of KAFKA_…; its places put in."""
        given = self.whole["services"]["kafka"]["environment"]
        places = {"kafka:9092": "{host}:{port}", "kafka:9093": "{host}:{controller}", "localhost:19092": "{host}:{outside}", "//:9092": "//{host}:{port}",
                  "//:9093": "//{host}:{controller}", "//:19092": "//{host}:{outside}", "/var/lib/kafka/data": "{data}"}
        self.outside = f"{facts['host']}:{facts['outside']}"
        rows = {}
        for name, value in given.items():
            if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS":
                for place, here in places.items():
                    value = value.replace(place, here.format(**facts))
                rows[name.removeprefix("KAFKA_").lower().replace("_", ".")] = value
        return rows

    def start_servers(self):
        self.broker = kafka.Kafka(properties=self.kafka_settings)
        self.broker.start()
        self.database = postgres_started(self.whole, self.folder / "docker")

    def mapped(self, text, name):
        """A container's places as they are here: mounts, secrets, tmpfs, host names."""
        service = self.services[name]
        for volume in service["volumes"]:
            source, target = volume.split(":")[:2]
            text = text.replace(target, str(self.folder / "docker" / source))
        for place in service["tmpfs"]:
            if place != "/tmp":
                text = text.replace(place, str(self.folder / name))
        for secret in service["secrets"]:
            text = text.replace(f"/run/secrets/{secret}", str(self.secret(secret)))
        return text.replace("kafka:9092", self.broker.bootstrap).replace("@postgres/", f"@{keep.LOOPBACK}:{self.database.port}/")

    def environment(self, name):
        """Of a service's container, its configuration written where it would be mounted."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        config = home / "earshot.yaml"
        config.write_text(self.mapped((DOCKER / "earshot.yaml").read_text(encoding="utf-8"), name), encoding="utf-8")
        given = {k: self.mapped(v, name) for k, v in self.services[name].get("environment", {}).items()}
        return {**{k: v for k, v in os.environ.items() if not k.startswith("EARSHOT_")}, "PATH": f"{harness.BUILD / 'bin'}:{os.environ['PATH']}",
                "EARSHOT_CONFIG": str(config), **given}

    def ask(self, name, *words, codes=(0,)):
        """`docker compose exec NAME WORD…`."""
        done = subprocess.run(words, cwd=self.folder / name, env=self.environment(name), capture_output=True, text=True, timeout=120, check=False)
        expect(codes is None or done.returncode in codes, f"{name}: {shlex.join(words)} ended with {done.returncode}: {done.stderr[-3000:]}")
        return done

    def up(self):
        for name, service in self.services.items():
            environment = self.environment(name)
            log = self.folder / f"{name}.log"
            with open(log, "ab") as out:
                self.running[name] = subprocess.Popen(exec_form("ENTRYPOINT") + service["command"], cwd=self.folder / name, env=environment,
                                                      stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        for name in self.services:
            until = time.monotonic() + 60
            while self.ask(name, *exec_form("HEALTHCHECK"), codes=None).returncode != 0:
                expect(self.running[name].poll() is None, f"{name} ended with {self.running[name].returncode}: {self.said(name)}")
                expect(time.monotonic() < until, f"{name} is not healthy after 60 s: {self.said(name)}")
                time.sleep(0.2)

    def said(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def down(self):
        for name, process in reversed(self.running.items()):
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            grace = float(self.services[name]["stop_grace_period"].rstrip("s"))
            try:
                code = process.wait(grace)
            except subprocess.TimeoutExpired:
                raise harness.Failure(f"{name} did not stop within {grace} s: {self.said(name)}") from None
            expect(code == 0, f"{name} ended with {code} after {time.monotonic() - began:.1f} s: {self.said(name)}")
        self.running = {}

    def survey(self, rows):
        text = "Comment,Date\n" + "".join(f'"{comment}",{date}\n' for comment, date in rows)
        half = self.inbox / ".survey.csv"
        half.write_text(text, encoding="utf-8")
        half.rename(self.inbox / "survey.csv")

    def await_posts(self, texts, seconds=60):
        until = time.monotonic() + seconds
        while True:
            posts = [json.loads(line) for line in self.ask("sink", "earshot", "export", "posts", "-o", "json", codes=(0, 75)).stdout.splitlines()]
            if sorted(post["text"] for post in posts) == sorted(texts):
                return posts
            expect(time.monotonic() < until, f"the store holds {posts}, not {texts}: " + "".join(self.said(name) for name in self.services))
            time.sleep(0.5)


def what_compose_runs_stores_what_customers_say():
    with harness.place() as place, Stack(place.folder) as stack:
        expect(list(stack.services) == ["collect", "process", "sink"], f"the services are {list(stack.services)}")
        stack.survey(SURVEY[:3])
        stack.up()
        posts = stack.await_posts([text for text, _ in SURVEY[:3]])
        expect({label for post in posts for label in post["labels"]} >= {"wish", "praise"}, f"the labels are {posts}")
        read = output("kcat", "-q", "-b", stack.outside, "-t", "earshot.insights", "-C", "-o", "beginning", "-e", "-X", "isolation.level=read_committed")
        expect({json.loads(line)["id"] for line in read.splitlines()} == {post["id"] for post in posts}, f"kcat from outside reads {read}")
        stack.down()
        stack.survey(SURVEY)
        stack.up()
        stack.await_posts([text for text, _ in SURVEY])
        stack.down()


def main():
    tests = [the_dockerfile_is_two_stages_from_what_the_context_holds, the_image_lacks_no_library, compose_reads_its_file]
    if "--servers" in sys.argv:
        tests = [what_compose_runs_stores_what_customers_say]
        try:
            kafka.fetch()
            postgres.programs()
        except keep.Missing as why:
            harness.skip(str(why))
    return harness.main(*tests)


if __name__ == "__main__":
    sys.exit(main())
