"""Event sets: one for each person, put into a store of pugmark, a table of chDB and one of DuckDB."""

import datetime
import json
import os
import shutil
import subprocess
from collections import namedtuple

# What happened, when (seconds since 1970), a number or None; and where it has one the session that its sender names and its page.
Event = namedtuple("Event", "name at number session url", defaults=(None, None))

FIELDS = "message_id String, event String, distinct_id String, timestamp String, t UInt32, place UInt32, grp String, number Nullable(Float64)"


def instant(at):
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_order(events):
    """(place, event) by time and sequence, which is the order in which they were imported."""
    return sorted(enumerate(events), key=lambda pair: (pair[1].at, pair[0]))


class Peers:
    """chDB and DuckDB, in this process; and where pugmark's program and stores are."""

    def __init__(self, program, directory):
        import duckdb
        from chdb import session

        self.program, self.directory, self.made = program, directory, 0
        # What is done to the text of what pugmark is asked: nothing, unless it is to be seen that a change shows.
        self.flip = lambda text: text
        self.chdb, self.duckdb = session.Session(os.path.join(directory, "chdb")), duckdb.connect()
        self.chdb.query("create database c")
        self.duckdb.execute("set timezone = 'UTC'")

    def clickhouse_version(self):
        return self.chdb.query("select version()", "TSVRaw").data().strip()

    def duckdb_version(self):
        return self.duckdb.execute("select version()").fetchone()[0]


class Batch:
    """People and their events. `groups` puts people into groups, `marks` are more fields of an event, true or false, by (person, place)."""

    def __init__(self, peers, people, groups=None, marks=None, only_peers=False):
        self.peers, self.people = peers, people
        peers.made += 1
        self.name = f"b{peers.made}"
        self.store = os.path.join(peers.directory, self.name)
        file = self.store + ".ndjson"
        with open(file, "w") as out:
            for number, (who, events) in enumerate(people.items()):
                for place, event in enumerate(events):
                    line = {
                        "message_id": f"{who}-{place}",
                        "event": event.name,
                        "distinct_id": who,
                        "timestamp": instant(event.at),
                    }
                    line |= {
                        "t": event.at,
                        "place": place,
                        "grp": (groups or {}).get(who, who),
                        "number": event.number,
                        "part": number % 5,
                    }
                    line |= {"session_id": event.session} if event.session else {}
                    line |= {"url": event.url} if event.url else {}
                    line |= (marks or {}).get((who, place), {})
                    out.write(json.dumps(line) + "\n")
        if not only_peers:
            self.run("import", self.store, file, "--strict")
        peers.chdb.query(f"create table c.{self.name} ({FIELDS}) engine=Memory")
        peers.chdb.query(
            f"insert into c.{self.name} select * from file('{file}', JSONEachRow, '{FIELDS}') order by cityHash64(message_id)"
            " settings input_format_skip_unknown_fields=1"
        )
        columns = {
            "event": "VARCHAR",
            "distinct_id": "VARCHAR",
            "t": "BIGINT",
            "place": "BIGINT",
            "grp": "VARCHAR",
            "number": "DOUBLE",
            "session_id": "VARCHAR",
            "url": "VARCHAR",
        }
        peers.duckdb.execute(
            f"create table {self.name} as select * from read_json('{file}', format = 'nd', columns = {columns})"
        )
        os.remove(file)

    def run(self, command, *arguments, stdin=None):
        call = [self.peers.program, command, *arguments]
        done = subprocess.run(call, input=stdin, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(call)} {stdin or ''}: {done.stderr} {done.stdout[:500]}")
        return done.stdout

    def pugmark(self, sql):
        return json.loads(self.run("sql", self.store, self.peers.flip(sql), "--format", "json"))

    def ask(self, question):
        return json.loads(self.run("query", self.store, stdin=self.peers.flip(json.dumps(question))))

    def clickhouse(self, sql):
        return json.loads(self.peers.chdb.query(sql.format(table=f"c.{self.name}"), "JSONCompact").bytes())["data"]

    def duckdb(self, sql):
        return self.peers.duckdb.execute(sql.format(table=self.name)).fetchall()

    def drop(self):
        self.peers.chdb.query(f"drop table c.{self.name}")
        self.peers.duckdb.execute(f"drop table {self.name}")
        shutil.rmtree(self.store, ignore_errors=True)
