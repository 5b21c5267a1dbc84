"""The systems: what is installed, built, generated and loaded once, and the processes that are asked."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SYSTEMS = ["pugmark", "pugmark-declared", "chdb", "chdb-tuned", "duckdb"]
# What is declared in a copy of the store: as the rollups are that the hand-tuned peer keeps.
DECLARED = [
    ["views", "--event", "page_view", "--by", "country"],
    ["sales", "--event", "purchase", "--by", "country", "--by", "plan", "--sum", "amount"],
]


def say(text):
    print(text, file=sys.stderr, flush=True)


class Systems:
    """A work directory with one workload in it, loaded into everybody."""

    def __init__(self, dir, events, memory=None):
        self.work, self.events, self.memory = Path(dir).resolve(), events, memory
        self.data = self.work / str(events)
        self.data.mkdir(parents=True, exist_ok=True)
        self.python = self.work / "venv/bin/python"
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
        self.ask, self.pugmark = target / "release/ask", target / "release/pugmark"
        # Who cannot be asked, and why.
        self.missing = {}

    def install(self):
        wanted, installed = HERE / "requirements.txt", self.work / "venv/requirements.txt"
        if not installed.exists() or installed.read_text() != wanted.read_text():
            say("installing the peers")
            venv.create(self.work / "venv", with_pip=True, clear=True)
            run(self.python, "-m", "pip", "install", "--quiet", "-r", wanted)
            shutil.copy(wanted, installed)

    def build(self):
        say("building pugmark in release mode")
        programs = ["-p", "pugmark-benches", "--bin", "ask", "-p", "pugmark-cli", "--bin", "pugmark"]
        run("cargo", "build", "--release", *programs, cwd=ROOT)

    def load(self, systems, again):
        parquet = self.data / "events.parquet"
        if not parquet.exists():
            say(f"generating {self.events:,} events")
            part = parquet.with_suffix(".part")
            users = self.events // 20
            run(self.python, HERE / "generate.py", part, "--events", self.events, "--users", users)
            part.rename(parquet)
        # The copy of a store is not older than the store.
        again = {*again, "pugmark-declared"} if "pugmark" in again else again
        for system in systems:
            done, path = self.data / f"{system}.done", self.path(system)
            if done.exists() and system not in again:
                continue
            done.unlink(missing_ok=True)
            remove(path)
            say(f"loading {system}")
            if system == "pugmark":
                run(self.pugmark, "import", path, parquet, "--map", "message_id=event_id,timestamp=ts", "--strict")
            elif system == "pugmark-declared":
                self.declare(path)
            else:
                run(self.python, HERE / "peer.py", system, path, "--load", parquet)
            if system not in self.missing:
                done.touch()

    def declare(self, path):
        shutil.copytree(self.path("pugmark"), path)
        for declared in DECLARED:
            run(self.pugmark, "declare", path, *declared)

    def path(self, system):
        return self.data / ("peer.duckdb" if system == "duckdb" else system)

    def programs(self, system):
        """What is mapped into the process that is asked."""
        if system.startswith("pugmark"):
            return [self.ask]
        library = "_duckdb*.so" if system == "duckdb" else "chdb/_chdb*.so"
        return list((self.work / "venv").glob(f"lib/python*/site-packages/{library}"))

    def open(self, system, path=None):
        path = path or self.path(system)
        if system.startswith("pugmark"):
            memory = ["--memory", str(self.memory)] if self.memory else []
            return Worker(system, [self.ask, path, *memory])
        return Worker(system, [self.python, HERE / "peer.py", system, path])

    def heaviest_and_thousand(self, statements):
        worker = self.open("duckdb")
        users = [worker.ask({"sql": sql})["answer"][0][0] for sql in statements]
        worker.close()
        return users


class Worker:
    """A process that answers lines."""

    def __init__(self, system, command):
        self.system = system
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        try:
            self.process.stdin.write(json.dumps(line) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            sys.exit(f"{self.system} ended with {self.process.wait()} when it was asked {json.dumps(line)}")
        return json.loads(answer)

    def told(self, line):
        answer = self.ask(line)
        if answer["error"]:
            sys.exit(f"{self.system} was asked {json.dumps(line)}: {answer['error']['message']}")
        return answer["answer"]

    def close(self):
        self.process.stdin.close()
        if self.process.wait():
            sys.exit(f"{self.system} ended with {self.process.returncode}")


def run(*command, cwd=None):
    # Standard output is the report's.
    subprocess.run([str(part) for part in command], cwd=cwd, stdout=sys.stderr, check=True)


def remove(path):
    for part in (path, path.with_name(f"{path.name}.wal")):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def drop_caches(path, programs):
    """Makes the next reads of data come from the disk, and says how: of everything, or where that is not allowed of the
    files below a path."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        for file in files_below(path):
            with open(file, "rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return "the pages of its files dropped"
    # Half a gigabyte of program would be read within the first questions otherwise.
    for program in programs:
        program.read_bytes()
    return "the page cache dropped, programs read again,"


def files_below(path):
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
