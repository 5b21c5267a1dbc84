"""Appends to DuckDB for `append`, which starts this and asks for one case at a time, by a line of JSON each.

`rows` is a file with one batch a line, `limit` the seconds after which no further batch is begun. The answer has the seconds of each
call and of all together, and how many rows were new. Reading the file and making Arrow tables of it is not timed.
"""

import json
import sys
import time

import duckdb
import pyarrow

connection = duckdb.connect(sys.argv[1])
connection.execute("create table events (message_id varchar primary key, event varchar not null)")
# `batch` is found among this module's names: an Arrow table is read where it lies.
MANY = "insert or ignore into events select message_id, event from batch"
ONE = "insert or ignore into events values (?, ?)"

for line in sys.stdin:
    question = json.loads(line)
    with open(question["rows"]) as file:
        batches = [json.loads(rows) for rows in file]
    prepared = [
        rows[0] if len(rows) == 1 else pyarrow.table({"message_id": [r[0] for r in rows], "event": [r[1] for r in rows]})
        for rows in batches
    ]
    limit = question["limit"] or float("inf")
    calls, stored = [], 0
    begun = time.perf_counter()
    for batch in prepared:
        called = time.perf_counter()
        # A statement is a transaction of its own, durable when it returns; its result is the number of rows inserted.
        done = connection.execute(ONE, batch) if isinstance(batch, list) else connection.execute(MANY)
        stored += done.fetchone()[0]
        calls.append(time.perf_counter() - called)
        if time.perf_counter() - begun > limit:
            break
    elapsed = time.perf_counter() - begun
    print(json.dumps({"calls": calls, "elapsed": elapsed, "stored": stored}), flush=True)

connection.close()
