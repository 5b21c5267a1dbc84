#!/usr/bin/env python3
"""A peer: loads the workload (--load), or is asked, a line of JSON each, as `ask` is.

{"sql": "…"} is answered with rows, {"stats": true} with the most memory that the process had and the bytes of each
table. Each peer is a process of its own: chDB has one session for each.
"""

import argparse
import datetime
import decimal
import json
import os
import sys
import time

BITMAP = "AggregateFunction(groupBitmap, UInt32)"
NAME = "LowCardinality(String)"
TIME = "DateTime64(3, 'UTC')"
COLUMNS = f"""event_id String, uid {{uid}}, event {NAME}, ts {TIME}, country {NAME}, platform {NAME}, plan {NAME},
    url String, amount Nullable(Float64), session_id String"""
# By event and day, by day, by event, country and day; counts and sums; by first day; all events by user.
TUNED = {
    "r": (f"d Date, event {NAME}, u {BITMAP}", "AggregatingMergeTree order by (event, d)",
          "select toDate(ts), event, groupBitmapState(uid) from b.e group by 1, 2"),
    "a": (f"d Date, u {BITMAP}", "AggregatingMergeTree order by d",
          "select toDate(ts), groupBitmapState(uid) from b.e group by 1"),
    "rc": (f"d Date, event {NAME}, country {NAME}, u {BITMAP}", "AggregatingMergeTree order by (event, country, d)",
           "select toDate(ts), event, country, groupBitmapState(uid) from b.e group by 1, 2, 3"),
    "c": (f"d Date, event {NAME}, country {NAME}, plan {NAME}, n UInt64, s Float64",
          "SummingMergeTree order by (event, d, country, plan)",
          "select toDate(ts), event, country, plan, count(), sum(ifNull(amount, 0)) from b.e group by 1, 2, 3, 4"),
    "f": (f"d0 Date, u {BITMAP}", "AggregatingMergeTree order by d0",
          "select d0, groupBitmapState(uid) from (select uid, min(toDate(ts)) d0 from b.e group by uid) group by d0"),
    "j": (f"uid UInt32, ts {TIME}, event {NAME}, url String, amount Nullable(Float64)",
          "MergeTree order by (uid, ts)", "select uid, ts, event, url, amount from b.e"),
}  # fmt: skip


class Chdb:
    def __init__(self, path, tuned):
        from chdb import session

        self.session, self.tuned = session.Session(path), tuned

    def load(self, parquet):
        self.session.query("create database b")
        if self.tuned:
            uid, order, cast = "UInt32", "(event, uid, ts)", "toUInt32(substring(distinct_id, 2))"
        else:
            uid, order, cast = "String", "(toDate(ts), event, cityHash64(uid))", "distinct_id"
        columns = f"event_id, {cast}, event, ts, country, platform, plan, url, amount, session_id"
        rows = f"select {columns} from file('{parquet}', Parquet)"
        self.table("e", COLUMNS.format(uid=uid), f"MergeTree order by {order}", rows)
        if self.tuned:
            for name, made in TUNED.items():
                self.table(name, *made)

    def table(self, name, columns, engine, rows):
        self.session.query(f"create table b.{name} ({columns}) engine={engine}")
        self.session.query(f"insert into b.{name} {rows}")
        self.session.query(f"optimize table b.{name} final")

    def ask(self, sql):
        return self.session.query(sql, "ArrowStream").bytes()

    def rows(self, answer):
        import pyarrow

        table = pyarrow.ipc.open_stream(answer).read_all()
        return zip(*(column.to_pylist() for column in table.columns), strict=True)

    def sizes(self):
        parts = "select table, bytes_on_disk from system.parts where active and database = 'b'"
        return dict(self.rows(self.ask(f"select table, sum(bytes_on_disk) from ({parts}) group by 1 order by 1")))

    def close(self):
        self.session.close()


class Duckdb:
    def __init__(self, path):
        import duckdb

        self.path, self.connection = path, duckdb.connect(path)
        self.connection.execute("set TimeZone = 'UTC'")

    def load(self, parquet):
        self.connection.execute(f"""create table e as select event_id, distinct_id uid, event::varchar as event,
            ts::timestamp ts, country::varchar country, platform::varchar platform, plan::varchar plan, url, amount,
            session_id from '{parquet}'""")
        self.connection.execute("checkpoint")

    def ask(self, sql):
        return self.connection.execute(sql).fetchall()

    def rows(self, answer):
        return answer

    def sizes(self):
        return {"e": os.path.getsize(self.path)}

    def close(self):
        self.connection.close()


def peak_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def plain(value):
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"no JSON for {value!r}")


def answer(peer, line):
    asked = json.loads(line)
    if "stats" in asked:
        return 0, {"peak_bytes": peak_bytes(), "bytes": peer.sizes()}
    begun = time.perf_counter()
    found = peer.ask(asked["sql"])
    took = time.perf_counter() - begun
    return round(took * 1e6), [list(row) for row in peer.rows(found)]


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("system", choices=["chdb", "chdb-tuned", "duckdb"])
    args.add_argument("path")
    args.add_argument("--load", metavar="PARQUET")
    args = args.parse_args()
    peer = Duckdb(args.path) if args.system == "duckdb" else Chdb(args.path, args.system == "chdb-tuned")
    if args.load:
        peer.load(args.load)
    else:
        for line in sys.stdin:
            try:
                us, found = answer(peer, line)
                told = {"us": us, "answer": found, "error": None}
            except Exception as error:
                told = {"us": None, "answer": None, "error": {"kind": "failed", "message": str(error)}}
            print(json.dumps(told, default=plain), flush=True)
    peer.close()


if __name__ == "__main__":
    main()
