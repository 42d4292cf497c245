# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: posts to feed them with, CPU time of programs, what lies in Kafka, medians and verdicts.

CPU time is user + system, of the client alone; rounds are interleaved, so that a busy machine is busy for all; what counts are ratios within one run.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("EARSHOT_BUILD", ROOT / "build" / "storm"))
SHARED = ROOT.parent / "shared"
TEXTS = [
    "The courier left my parcel in the rain and nobody at support answers the phone.",
    "Love the new update, battery lasts two days now. Thank you!",
    "Wouldn't it be nice if the app worked offline, on the train I never have a connection",
    "Globex charges half of that and answers within the hour, why does Acme not?",
    "Is it normal that the charger gets this warm after twenty minutes?",
    "Das Paket kam drei Tage zu spät, und der Kundendienst hat sich nicht gemeldet.",
]
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("EARSHOT_")}

sys.path.insert(0, str(ROOT / "tests" / "servers"))
import kafka  # noqa: E402,F401
import keep  # noqa: E402
import postgres  # noqa: E402,F401


class Wrong(Exception):
    """What was measured did the wrong work: there is no figure."""


@contextlib.contextmanager
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="earshot-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def main(measure):
    """Runs a benchmark: 0 all targets are met, 1 one is missed or the work was wrong, 77 a server cannot run here."""
    try:
        sys.exit(0 if measure() else 1)
    except keep.Missing as why:
        print(f"skipped: {why}")
        sys.exit(77)
    except (Wrong, keep.Failed) as why:
        print(f"no figures: {why}")
        sys.exit(1)


def verdict(what, value, floor, goal, unit="x"):
    """Prints a figure beside its target (at most `floor`); true if it is met."""
    said = "goal met" if value <= goal else "target met" if value <= floor else "MISSED"
    print(f"{said}: {what}: {value:.2f}{unit} (target <= {floor}{unit}, goal {goal}{unit})")
    return value <= floor


def at_least(what, value, floor, goal, unit="x"):
    """The same for a figure that is to be at least so much."""
    said = "goal met" if value >= goal else "target met" if value >= floor else "MISSED"
    print(f"{said}: {what}: {value:.2f}{unit} (target >= {floor}{unit}, goal {goal}{unit})")
    return value >= floor


median = statistics.median


def share(values, part):
    """The value below which a part of them lies (0.99: p99)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


# --- posts ---

def texts():
    """Lines as people write them: from ../shared where it is there, else a few of our own."""
    data = SHARED / "data" / "by" / "goemotions-dev.ndjson"
    if not data.exists():
        return TEXTS
    with open(data, encoding="utf-8") as lines:
        found = [json.loads(line)["text"].replace("\n", " ") for line in lines]
    return [text for text in found if len(text) > 20]


def as_post(row, number):
    """A row of synth_posts.py as a post of ours: the same fields and about the same size."""
    source = row["source"]
    post = {"id": f"{source}:{source}.example.org:{row['id'].partition(':')[2]}{number:07d}", "source": source, "platform": source, "channel": "forum",
            "url": row["url"], "author": {"id": hashlib.sha256(row["author"].encode()).hexdigest()[:24]}, "created_at": row["created_at"],
            "collected_at": row["created_at"], "version": 1767225600000000 + number, "text": row["text"], "lang": row["lang"], "tags": row["tags"],
            "engagement": {"likes": row["likes"], "shares": row["reposts"]}}
    if row["reply_to"]:
        post["parent"] = row["reply_to"]
    return post


def write_posts(path, count):
    """Posts as NDJSON, the same for everyone; returns their mean size."""
    synth = SHARED / "bench" / "synth_posts.py"
    lines = path.with_suffix(".texts")
    raw = path.with_suffix(".raw")
    lines.write_text("\n".join(texts()), encoding="utf-8")
    if synth.exists():
        subprocess.run([sys.executable, "-W", "ignore", synth, str(count), lines, raw], check=True)
    else:
        own_rows(raw, count)
    size = 0
    with open(raw, encoding="utf-8") as rows, open(path, "w", encoding="utf-8") as out:
        for number, row in enumerate(rows):
            size += out.write(json.dumps(as_post(json.loads(row), number), ensure_ascii=False, separators=(",", ":")) + "\n")
    raw.unlink()
    return size // count


def own_rows(path, count):
    """Where synth_posts.py is not there: rows of its form."""
    said = texts()
    with open(path, "w", encoding="utf-8") as out:
        for i in range(count):
            mixed = int.from_bytes(hashlib.sha256(str(i).encode()).digest()[:8], "big")
            source = ("mastodon", "lemmy", "bluesky", "forum", "feed", "reddit", "survey")[mixed % 7]
            at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1767225600 + i * 0.6))
            row = {"id": f"{source}:{mixed:016x}", "source": source, "author": f"user{mixed % 200000}", "url": f"https://{source}.example.org/@user/{mixed}",
                   "created_at": at + ".000Z", "lang": "en", "reply_to": None, "likes": mixed % 500, "reposts": mixed % 50, "tags": [],
                   "text": " ".join(said[(mixed >> 8 * k) % len(said)] for k in range(1 + mixed % 4))}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


# --- programs ---

class Ran:
    """A program that was waited for: its CPU seconds, wall seconds, exit code and output."""

    def __init__(self, code, cpu, wall, out, said):
        self.code, self.cpu, self.wall, self.out, self.said = code, cpu, wall, out, said


class Program:
    """A program that runs; wait() tells what it took."""

    def __init__(self, command, cwd, environment=None):
        self.command = [str(word) for word in command]
        self.out, self.said = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.began = time.monotonic()
        self.process = subprocess.Popen(self.command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.said,
                                        env={**ENVIRONMENT, **(environment or {})})

    def text(self, file):
        file.seek(0)
        return file.read().decode(errors="replace")

    def wait(self, codes=(0,)):
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        ran = Ran(self.process.returncode, used.ru_utime + used.ru_stime, time.monotonic() - self.began, self.text(self.out), self.text(self.said))
        if codes is not None and ran.code not in codes:
            raise Wrong(f"{' '.join(self.command)} ended with {ran.code}: {ran.said[-3000:]}")
        return ran

    def stop(self):
        self.process.terminate()
        return self.wait(codes=None)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def run(command, cwd, codes=(0,), environment=None):
    return Program(command, cwd, environment).wait(codes)


def program(name):
    path = BUILD / "bin" / name
    if not path.exists():
        raise Wrong(f"no {path}; build the preset storm first, or say EARSHOT_BUILD")
    return path


PRODUCE = "rd_kafka_produce(t,RD_KAFKA_PARTITION_UA,RD_KAFKA_MSG_F_COPY,ms[i]->payload,ms[i]->len,ms[i]->key,ms[i]->key_len,0)"
WITH_HEADERS = """static int with_headers(rd_kafka_t*k,rd_kafka_topic_t*t,rd_kafka_message_t*m){rd_kafka_headers_t*h=rd_kafka_headers_new(6);
rd_kafka_header_add(h,"ce_specversion",-1,"1.0",-1);rd_kafka_header_add(h,"ce_id",-1,"0123456789abcdef0123456789abcdef",-1);
rd_kafka_header_add(h,"ce_type",-1,"earshot.insight.v1",-1);rd_kafka_header_add(h,"ce_source",-1,"/stage/process",-1);
rd_kafka_header_add(h,"ce_time",-1,"2026-01-01T00:00:00.000000Z",-1);rd_kafka_header_add(h,"content-type",-1,"application/json",-1);
rd_kafka_resp_err_t e=rd_kafka_producev(k,RD_KAFKA_V_RKT(t),RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),RD_KAFKA_V_VALUE(m->payload,m->len),
RD_KAFKA_V_KEY(m->key,m->key_len),RD_KAFKA_V_HEADERS(h),RD_KAFKA_V_END);if(e)rd_kafka_headers_destroy(h);return e!=0;}
int main("""


def peer(headers=False):
    """c_kafka of ../shared/bench, compiled into the build folder; with `headers` it puts as many on each message as we do. Missing: it is not there."""
    source = SHARED / "bench" / "c_kafka.c"
    if not source.exists():
        raise keep.Missing(f"no {source} to measure beside")
    (BUILD / "bench").mkdir(parents=True, exist_ok=True)
    path = BUILD / "bench" / ("c_kafka-headers" if headers else "c_kafka")
    text = source.read_text(encoding="utf-8")
    if headers:
        if PRODUCE not in text:
            raise Wrong("c_kafka.c has changed: it cannot be given headers")
        text = text.replace("int main(", WITH_HEADERS).replace(PRODUCE, "with_headers(p,t,ms[i])")
    subprocess.run(["cc", "-O2", "-w", "-I", source.parent, "-x", "c", "-o", path, "-", "-x", "none", "-lrdkafka", "-lpthread"], input=text, text=True,
                   check=True)
    return path


# --- what lies in Kafka ---

def committed(brokers, topic, since_ms=0):
    """What a reader of committed messages sees of a topic since an instant: (messages, distinct keys, seconds between the first and the last)."""
    args = ["kcat", "-C", "-b", brokers, "-t", topic, "-e", "-q", "-o", f"s@{since_ms}" if since_ms else "beginning", "-X", "isolation.level=read_committed",
            "-f", "%T %k\n"]
    count, keys, first, last = 0, set(), 1 << 62, 0
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True, encoding="utf-8") as reader:
        for line in reader.stdout:
            at, _, key = line.rstrip("\n").partition(" ")
            count += 1
            keys.add(key)
            first, last = min(first, int(at)), max(last, int(at))
    if reader.returncode != 0:
        raise Wrong(f"kcat could not read {topic}")
    return count, len(keys), (last - first) / 1000


def expect_each_once(brokers, topic, count, since_ms=0):
    """Wrong unless exactly `count` messages lie there, each under a key of its own; returns the seconds from the first to the last."""
    found, keys, seconds = committed(brokers, topic, since_ms)
    if found != count or keys != count:
        raise Wrong(f"{topic} has {found} messages of {keys} keys, where {count} each once were expected")
    return seconds


def load(brokers, topic, path, count):
    """Lines of NDJSON into a topic, each under its id. Wrong unless all of them lie there."""
    keyed = path.with_suffix(".keyed")
    with open(path, encoding="utf-8") as lines, open(keyed, "w", encoding="utf-8") as out:
        out.writelines(json.loads(line)["id"] + "\t" + line for line in lines)
    subprocess.run(["kcat", "-P", "-b", brokers, "-t", topic, "-K", "\t", "-l", "-z", "lz4", "-X", "linger.ms=20,batch.num.messages=10000", keyed], check=True)
    keyed.unlink()
    expect_each_once(brokers, topic, count)


def now_ms():
    return int(time.time() * 1000)


def processes_cpu(pid):
    """CPU seconds of a process, of its living children, and of those it has waited for."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        total = sum(map(int, fields[11:15]))  # utime stime cutime cstime
        for child in children:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                own = pathlib.Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                total += sum(map(int, own[11:13]))
    return total / ticks


def loaded():
    """How busy the machine is with others: said with every figure."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {resource.getpagesize()} B pages"
