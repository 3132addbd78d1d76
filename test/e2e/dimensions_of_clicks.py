"""Counts the clicks of a CSV file by calendar buckets and values, with nothing of clickledger: csv and zoneinfo.

Prints a JSON object: "zone granularity column" -> {"value|first millisecond of the bucket": clicks}.
"""
import csv
import gzip
import json
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

ZONES = ["UTC", "Asia/Kathmandu", "America/New_York"]
COLUMNS = ["os", "device", "channel"]


def start_of(local, granularity):
    """The first moment of the bucket that holds a moment of a zone's clock."""
    if granularity == "HOUR":
        return local.replace(minute=0)
    first = local.replace(hour=0, minute=0, fold=0)
    return first.replace(day=1) if granularity == "MONTH" else first


def main():
    counts = {}
    starts = {}
    with gzip.open(sys.argv[1], "rt", newline="") as file:
        for row in csv.DictReader(file):
            date, clock = row["click_time"].split(" ")
            hour, minute = clock.split(":")
            moment = datetime.fromisoformat(date).replace(tzinfo=timezone.utc)
            moment += timedelta(hours=int(hour), minutes=int(minute))
            for zone in ZONES:
                for granularity in ["HOUR", "DAY", "MONTH"]:
                    key = (zone, granularity, moment)
                    if key not in starts:
                        local = moment.astimezone(ZoneInfo(zone))
                        starts[key] = int(start_of(local, granularity).timestamp() * 1000)
                    for column in COLUMNS:
                        found = counts.setdefault(f"{zone} {granularity} {column}", Counter())
                        found[f"{row[column]}|{starts[key]}"] += 1
    json.dump(counts, sys.stdout)


main()
