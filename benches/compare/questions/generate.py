#!/usr/bin/env python3
"""Writes the standard shop workload as Parquet, in order of arrival: the same events for the same arguments.

    generate.py FILE --events N --users U [--days 90] [--seed 7]

Activity is spread as by Zipf; users join over time and leave. Country, platform and plan are the user's, in all of
their events.
"""

import argparse

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EVENTS = {
    "page_view": 30, "product_view": 18, "search": 9, "add_to_cart": 7, "session_start": 7, "button_click": 6,
    "remove_from_cart": 2, "checkout_start": 3.5, "purchase": 2.2, "form_submit": 2, "video_play": 2.5,
    "video_pause": 1.5, "wishlist_add": 1.5, "share": 1, "review": 0.6, "signup": 1.1, "login": 3, "logout": 0.6,
    "coupon_apply": 0.4, "refund": 0.1,
}  # fmt: skip
WITH_AMOUNT = [list(EVENTS).index(name) for name in ("purchase", "refund")]
COUNTRIES = "US IN BR DE GB FR JP NG ID MX CA AU ES IT KR NL TR PL SE ZA".split()
PLATFORMS = {"web": 0.45, "ios": 0.22, "android": 0.25, "server": 0.06, "tv": 0.02}
PLANS = {"free": 0.8, "pro": 0.17, "enterprise": 0.03}
FROM_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
DAY_MS = 86_400_000
HALF_HOUR_MS = 1_800_000
ROWS = 1_000_000

NAMES = pa.dictionary(pa.int8(), pa.string())
SCHEMA = pa.schema([
    ("event_id", pa.string()), ("distinct_id", pa.string()), ("event", NAMES), ("ts", pa.timestamp("ms", "UTC")),
    ("country", NAMES), ("platform", NAMES), ("plan", NAMES), ("url", pa.string()), ("amount", pa.float64()),
    ("session_id", pa.string()),
])  # fmt: skip


def shares(weights):
    weights = np.array(list(weights))
    return weights / weights.sum()


def write(args):
    dice = np.random.default_rng(args.seed)
    end = args.days * DAY_MS

    activity = shares(dice.pareto(1.3, args.users) + 0.05)
    joined = (dice.random(args.users) ** 1.5 * end).astype(np.int64)
    stays = (dice.exponential(25, args.users) * DAY_MS).astype(np.int64) + 60_000
    of_user = [
        (dice.choice(len(values), args.users, p=share).astype(np.int8), list(values))
        for values, share in [
            (COUNTRIES, shares(1 / np.arange(1, len(COUNTRIES) + 1) ** 0.9)),
            (PLATFORMS, list(PLATFORMS.values())),
            (PLANS, list(PLANS.values())),
        ]
    ]

    user = dice.choice(args.users, args.events, p=activity).astype(np.int32)
    left = np.minimum(joined + stays, end)
    at = joined[user] + (dice.random(args.events) * (left - joined)[user]).astype(np.int64)
    order = np.argsort(at, kind="stable")
    user, at = user[order], at[order] + FROM_MS
    del order
    event = dice.choice(len(EVENTS), args.events, p=shares(EVENTS.values())).astype(np.int8)

    with pq.ParquetWriter(args.file, SCHEMA, compression="zstd") as out:
        for first in range(0, args.events, ROWS):
            rows = slice(first, min(args.events, first + ROWS))
            out.write_batch(batch(dice, args.seed, rows, user[rows], at[rows], event[rows], of_user))


def batch(dice, seed, rows, user, at, event, of_user):
    count = rows.stop - rows.start
    amount = pa.array(np.round(dice.gamma(2, 30, count) + 1, 2), mask=~np.isin(event, WITH_AMOUNT))
    url = np.minimum(dice.zipf(1.3, count), 5000)
    ids = np.arange(rows.start, rows.stop, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15) + np.uint64(seed)
    columns = [
        pa.array([f"{id:016x}" for id in ids]),
        pa.array([f"u{u}" for u in user]),
        pa.DictionaryArray.from_arrays(pa.array(event), list(EVENTS)),
        pa.array(at, SCHEMA.field("ts").type),
        *(pa.DictionaryArray.from_arrays(pa.array(of[user]), values) for of, values in of_user),
        pa.array([f"/p/{page}" for page in url]),
        amount,
        pa.array([f"s{u}-{part}" for u, part in zip(user, at // HALF_HOUR_MS, strict=True)]),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("file")
    args.add_argument("--events", type=int, required=True)
    args.add_argument("--users", type=int, required=True)
    args.add_argument("--days", type=int, default=90)
    args.add_argument("--seed", type=int, default=7)
    write(args.parse_args())


if __name__ == "__main__":
    main()
