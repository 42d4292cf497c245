# SPDX-License-Identifier: Apache-2.0
"""A real Apache Kafka for tests: one broker or several (KRaft, each broker also a controller), straight from the jars of pom.xml.

    with kafka.Kafka(brokers=3) as cluster:
        cluster.bootstrap          # "127.0.0.1:17001,127.0.0.1:17002,127.0.0.1:17003"
        cluster.kill(1)            # kill -9; the others go on
        cluster.restart(1)         # the same ports and data

Settings are scaled down so that tests may be quick: groups with sessions of a second, retention and compaction looked after every half second. What a test
needs otherwise it says per topic, or for all brokers by `properties`.
"""

import base64
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid

import keep
from keep import Failed, Missing, LOOPBACK

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "configs": "kafka.admin.ConfigCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
}
JAVA = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xlog:disable", "-Xlog:all=error:stderr", "-Xshare:auto",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Djava.awt.headless=true"]

# One row a setting. %(…)s are of the broker.
PROPERTIES = """
process.roles=broker,controller
node.id=%(id)s
controller.quorum.voters=%(voters)s
listeners=PLAINTEXT://%(host)s:%(port)s,CONTROLLER://%(host)s:%(controller)s
advertised.listeners=PLAINTEXT://%(host)s:%(port)s
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%(data)s
auto.create.topics.enable=false
default.replication.factor=%(replicas)s
min.insync.replicas=%(insync)s
offsets.topic.replication.factor=%(replicas)s
offsets.topic.num.partitions=4
offsets.topic.segment.bytes=1048576
transaction.state.log.replication.factor=%(replicas)s
transaction.state.log.min.isr=%(insync)s
transaction.state.log.num.partitions=4
transaction.state.log.segment.bytes=1048576
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
replica.lag.time.max.ms=5000
num.network.threads=2
num.io.threads=4
num.replica.fetchers=1
group.coordinator.threads=1
background.threads=2
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=1179648
log.cleaner.backoff.ms=200
log.initial.task.delay.ms=500
log.retention.check.interval.ms=500
log.segment.delete.delay.ms=500
log.index.size.max.bytes=1048576
metadata.log.segment.bytes=8388608
"""


def java():
    """The java to run, and what names its version. Missing: none, or older than Kafka needs."""
    program = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else shutil.which("java")
    if not program or not os.path.exists(program):
        raise Missing("no java: install openjdk-17-jre-headless")
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    number = said.partition('"')[2].partition(".")[0]
    if not number.isdigit() or int(number) < 17:
        raise Missing(f"java is {said.splitlines()[:1]}, and Kafka 4 needs 17: install openjdk-17-jre-headless")
    return program, said


def fetch():
    """The folder of Kafka's jars in the tests' cache; fetched by Maven where it is not yet there (once, whoever else asks at the same time)."""
    pom = HERE / "pom.xml"
    place = keep.cache() / ("kafka-" + hashlib.sha256(pom.read_bytes()).hexdigest()[:12])
    jars = place / "jars"
    if jars.is_dir():
        return place
    java()
    if shutil.which("mvn") is None:
        raise Missing("no Kafka jars and no mvn to fetch them: install maven")
    keep.cache().mkdir(parents=True, exist_ok=True)
    with open(keep.cache() / "kafka.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jars.is_dir():
            return place
        work = pathlib.Path(tempfile.mkdtemp(prefix="fetch-", dir=keep.cache()))
        try:
            done = subprocess.run(["mvn", "-B", "-q", f"-Dmaven.repo.local={work}/repository", "-f", str(pom), "dependency:copy-dependencies",
                                   "-DincludeScope=runtime", f"-DoutputDirectory={work}/jars"], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Missing("Maven could not fetch Kafka's jars: " + (done.stdout + done.stderr)[-2000:])
            place.mkdir(exist_ok=True)
            (work / "jars").rename(jars)
        finally:
            keep.remove(work)
    return place


def archive(place, program, version):
    """Options that share Kafka's parsed classes between runs (starts in half the time). The archive is made once for each Java, by a broker that is stopped."""
    name = place / ("classes-" + hashlib.sha256(version.encode()).hexdigest()[:12] + ".jsa")
    with open(place / "classes.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not name.exists():
            half = name.with_suffix(".half")
            half.unlink(missing_ok=True)
            with Kafka(options=[f"-XX:ArchiveClassesAtExit={half}"]) as cluster:
                cluster.tool("topics", "--create", "--topic", "warm")
                broker = cluster.processes[1]
                broker.terminate()
                broker.wait(60)
            if half.exists():
                half.rename(name)
    return [f"-XX:SharedArchiveFile={name}"] if name.exists() else []


def brokers_seen(port):
    """How many brokers the one on a port knows to be up; -1 while it does not answer. The Metadata request (v1, no topics) in its bytes."""
    try:
        with socket.create_connection((LOOPBACK, port), 1) as link:
            link.settimeout(5)
            link.sendall(struct.pack(">ihhihi", 14, 3, 1, 1, 0, 0))
            size = struct.unpack(">i", link.recv(4, socket.MSG_WAITALL))[0]
            return struct.unpack(">i", link.recv(size, socket.MSG_WAITALL)[4:8])[0]
    except (OSError, struct.error):
        return -1


class Kafka:
    """A cluster. Used in a `with`, or start() and stop(). Brokers are numbered from 1.

    secure: one broker that others than itself reach only by SASL_SSL, on `self.secured`, with PLAIN or SCRAM-SHA-512 as USER and PASSWORD; `self.ca` is
    the PEM file of who signed its certificate (for localhost and 127.0.0.1).
    properties: settings beside or instead of PROPERTIES; a dict, or a function that makes one of a broker's facts (what stands in %(…)s there, and
    `outside`, a port more).
    """

    USER, PASSWORD = "earshot", "listens well"

    def __init__(self, brokers=1, properties=None, heap="256m", options=None, secure=False):
        self.count = brokers
        self.secure = secure
        self.secured = self.ca = None
        self.properties = properties if callable(properties) else lambda facts: properties or {}
        self.heap = heap
        self.options = options
        self.ports, self.controllers, self.processes = {}, {}, {}
        self.kept = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def bootstrap(self):
        return ",".join(f"{LOOPBACK}:{port}" for port in self.ports.values())

    def data(self, broker=1):
        """Where a broker's segments lie: FOLDER/TOPIC-PARTITION/*.log."""
        return self.kept.folder / f"data-{broker}"

    def start(self):
        place = fetch()
        self.program, version = java()
        if self.options is None:
            self.options = archive(place, self.program, version)
        self.classes = ":".join(str(jar) for jar in sorted((place / "jars").iterdir()))
        for left in (4, 3, 2, 1, 0):
            self.kept = keep.Kept("kafka")
            try:
                self.start_all()
                return self
            except BaseException as why:
                self.stop()
                # A port that was free a moment ago may be somebody else's now.
                if left == 0 or not isinstance(why, Failed) or "Address already in use" not in str(why):
                    raise
        return self

    def start_all(self):
        ids = range(1, self.count + 1)
        ports = keep.free_ports(3 * self.count)
        self.ports = dict(zip(ids, ports))
        self.controllers = dict(zip(ids, ports[self.count:]))
        voters = ",".join(f"{i}@{LOOPBACK}:{self.controllers[i]}" for i in ids)
        for i in ids:
            facts = {"id": i, "voters": voters, "host": LOOPBACK, "port": self.ports[i], "controller": self.controllers[i],
                     "outside": ports[2 * self.count + i - 1], "data": self.data(i), "replicas": min(self.count, 3), "insync": min(self.count, 2)}
            rows = dict(row.split("=", 1) for row in (PROPERTIES % facts).split())
            if self.secure:
                rows.update(self.secure_settings(facts))
            rows.update(self.properties(facts))
            self.settings(i).write_text("".join(f"{k}={v}\n" for k, v in rows.items()), encoding="utf-8")
        # No leading '-', which the tool would take for an option: the first six bits are those of 'E'.
        cluster = "E" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        users = ["--add-scram", f"SCRAM-SHA-512=[name={self.USER},password={self.PASSWORD}]"] if self.secure else []
        formats = [self.kept.spawn(self.run_java("64m", "kafka.tools.StorageTool", "format", "-t", cluster, "-c", self.settings(i), *users), "format.log")
                   for i in ids]
        if any(process.wait(120) != 0 for process in formats):
            raise Failed("kafka's StorageTool failed: " + self.kept.said("format.log"))
        for i in ids:
            self.launch(i)
        self.await_up()

    def secure_settings(self, facts):
        """A certificate of its own, signed by a CA made for it, and a third listener that uses it."""
        folder = self.kept.folder
        self.secured, self.ca = f"{facts['host']}:{facts['outside']}", folder / "ca.pem"
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        for words in (["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"],
                      ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext", names, "-keyout", "broker.key", "-out", "broker.csr"],
                      ["x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-copy_extensions", "copy",
                       "-out", "broker.crt"]):
            subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
        (folder / "broker.pem").write_text((folder / "broker.key").read_text() + (folder / "broker.crt").read_text() + (folder / "ca.pem").read_text())
        login = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{self.USER}="{self.PASSWORD}";'
        return {"listeners": f"PLAINTEXT://{facts['host']}:{facts['port']},CONTROLLER://{facts['host']}:{facts['controller']},OUTSIDE://{self.secured}",
                "advertised.listeners": f"PLAINTEXT://{facts['host']}:{facts['port']},OUTSIDE://{self.secured}",
                "inter.broker.listener.name": "PLAINTEXT",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTSIDE:SASL_SSL",
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
                "listener.name.outside.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                "listener.name.outside.plain.sasl.jaas.config": login,
                "ssl.keystore.type": "PEM", "ssl.keystore.location": folder / "broker.pem"}

    def settings(self, broker):
        return self.kept.folder / f"broker-{broker}.properties"

    def run_java(self, heap, main, *arguments):
        # What Java unpacks goes with the folder.
        return [self.program, f"-Xmx{heap}", *JAVA, f"-Djava.io.tmpdir={self.kept.folder}", *self.options, "-cp", self.classes, main, *arguments]

    def launch(self, broker):
        self.processes[broker] = self.kept.spawn(self.run_java(self.heap, "kafka.Kafka", self.settings(broker)), f"broker-{broker}.log",
                                                 cwd=self.kept.folder)

    def await_up(self, seconds=120, brokers=None):
        """Until each broker that should run answers and knows all that should run."""
        running = [i for i, process in self.processes.items() if process is not None]
        until = time.monotonic() + seconds
        for i in brokers or running:
            while brokers_seen(self.ports[i]) < len(running):
                if self.processes[i].poll() is not None:
                    raise Failed(f"broker {i} ended with {self.processes[i].returncode}: {self.kept.said(f'broker-{i}.log')}")
                if time.monotonic() > until:
                    raise Failed(f"broker {i} does not answer after {seconds} s: {self.kept.said(f'broker-{i}.log')}")
                time.sleep(0.03)

    def kill(self, broker=1):
        """kill -9."""
        process = self.processes[broker]
        self.processes[broker] = None
        process.kill()
        process.wait()

    def restart(self, broker=1, wait=True):
        """Starts a killed broker again, on its ports and data. Without wait: returns at once, await_up() waits."""
        self.launch(broker)
        if wait:
            self.await_up()

    def pause(self, broker=1):
        self.processes[broker].send_signal(signal.SIGSTOP)

    def resume(self, broker=1):
        self.processes[broker].send_signal(signal.SIGCONT)

    def tool(self, name, *arguments, timeout=120):
        """Runs one of Kafka's own tools (see TOOLS) against the cluster; returns what it wrote."""
        done = subprocess.run([str(w) for w in self.run_java("128m", TOOLS[name], "--bootstrap-server", self.bootstrap, *arguments)], capture_output=True,
                              text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise Failed(f"kafka-{name} {' '.join(map(str, arguments))} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def stop(self):
        if self.kept is not None:
            self.kept.stop()
            for process in self.processes.values():
                if process is not None:
                    process.wait()
            self.kept, self.processes = None, {}
