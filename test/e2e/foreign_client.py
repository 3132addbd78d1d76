"""A client that shares nothing with clickledger but the .proto files: another language, another gRPC library.

Usage: foreign_client.py STUBS INGEST_ADDRESS QUERY_ADDRESS, where STUBS is a folder with the stubs that protoc made.
Prints what it was answered as one line of JSON.
"""

import json
import os
import sys
import time
import uuid

stubs, ingest_address, query_address = sys.argv[1:]
sys.path.insert(0, stubs)

import grpc  # noqa: E402
from clickledger.v1 import audit_pb2, audit_pb2_grpc  # noqa: E402
from clickledger.v1 import catalog_pb2, catalog_pb2_grpc, click_pb2, ingest_pb2, ingest_pb2_grpc  # noqa: E402
from clickledger.v1 import query_pb2, query_pb2_grpc  # noqa: E402

DAY_MS = 86_400_000
AD = "python's ad"


def uuid7():
    value = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    return str(uuid.UUID(int=(value & ~(0x3 << 62)) | (0x2 << 62)))


def result(reply):
    return {
        "status": ingest_pb2.IngestStatus.Name(reply.status),
        "reason": reply.reason,
        "sequence": reply.receipt.stream_sequence,
    }


ingest_channel = grpc.insecure_channel(ingest_address)
catalog = catalog_pb2_grpc.AdCatalogServiceStub(ingest_channel)
ingest = ingest_pb2_grpc.ClickIngestServiceStub(ingest_channel)
query_channel = grpc.insecure_channel(query_address)
query = query_pb2_grpc.ClickQueryServiceStub(query_channel)
audits = audit_pb2_grpc.AuditServiceStub(query_channel)
answers = {}

stored = catalog.UpsertAds(
    catalog_pb2.UpsertAdsRequest(ads=[catalog_pb2.Ad(ad_id=AD, destination_url="https://shop.example/python")])
)
answers["created"] = stored.created
answers["destination"] = catalog.GetAd(catalog_pb2.GetAdRequest(ad_id=AD)).ad.destination_url

again = uuid7()
impression = uuid7()
batch = [
    click_pb2.Click(click_id=again, ad_id=AD),
    click_pb2.Click(click_id=again, ad_id=AD),
    click_pb2.Click(click_id="not-a-uuid", ad_id=AD),
    click_pb2.Click(click_id=uuid7(), ad_id="nobody's ad"),
    click_pb2.Click(click_id=uuid7(), ad_id=AD, impression_id=impression),
    click_pb2.Click(click_id=uuid7(), ad_id=AD, impression_id=impression),
    click_pb2.Click(click_id=uuid7(), ad_id=AD, test=True),
    click_pb2.Click(click_id=uuid7(), ad_id=AD, user_agent="Googlebot/2.1 (+http://www.google.com/bot.html)"),
    click_pb2.Click(click_id=uuid7(), ad_id=AD, event_time_ms=1),
]
reply = ingest.BatchIngestClicks(
    ingest_pb2.BatchIngestClicksRequest(source="python", clicks=batch), compression=grpc.Compression.Gzip
)
answers["batch"] = [result(one) for one in reply.results]

one = ingest.IngestClick(ingest_pb2.IngestClickRequest(click=click_pb2.Click(click_id=uuid7(), ad_id=AD)))
answers["one"] = result(one.result)

requests = (
    ingest_pb2.BatchIngestClicksRequest(clicks=[click_pb2.Click(click_id=uuid7(), ad_id=AD) for _ in range(size)])
    for size in range(1, 41)
)
answers["stream"] = [len(response.results) for response in ingest.StreamIngestClicks(requests)]

try:
    query.QueryAggregates(query_pb2.QueryAggregatesRequest(ad_ids=[AD], from_ms=1, to_ms=DAY_MS))
except grpc.RpcError as error:
    answers["wrong query"] = [error.code().name, error.details()]

today = int(time.time() * 1000) // DAY_MS * DAY_MS
wanted = query_pb2.QueryAggregatesRequest(
    ad_ids=[AD], from_ms=today - DAY_MS, to_ms=today + 2 * DAY_MS, granularity=query_pb2.MONTH
)
sent_ms = time.time() * 1000
for _ in range(600):
    counted = query.QueryAggregates(wanted)
    if counted.info.arrived_through_ms > sent_ms and not counted.info.partial:
        break
    time.sleep(0.05)
sums = {}
for row in counted.rows:
    for field, value in row.metrics.ListFields():
        sums[field.name] = sums.get(field.name, 0) + value
answers["counted"] = sums


def fate(record):
    return [audit_pb2.Disposition.Name(record.disposition), record.reason]


for _ in range(600):
    found = audits.GetClick(audit_pb2.GetClickRequest(click_id=again)).records
    if all(record.counted for record in found):
        break
    time.sleep(0.05)
answers["sent twice"] = [fate(record) for record in found]
by_receipt = audits.GetClick(audit_pb2.GetClickRequest(receipt=reply.results[5].receipt)).records
answers["by receipt"] = [fate(record) for record in by_receipt]
answers["repeats"] = by_receipt[0].repeats == reply.results[4].receipt
window = {"ad_id": AD, "minute_ms": found[0].minute_ms}
proof = audits.GetWindowProof(audit_pb2.GetWindowProofRequest(**window))
verified = audits.VerifyWindow(audit_pb2.VerifyWindowRequest(**window))
answers["verdict"] = audit_pb2.Verdict.Name(verified.verdict)
answers["proven"] = proof.counts == verified.recounted and proof.counts.valid > 0
try:
    audits.VerifyWindow(audit_pb2.VerifyWindowRequest(ad_id=AD, minute_ms=1))
except grpc.RpcError as error:
    answers["wrong audit"] = [error.code().name, error.details()]
print(json.dumps(answers))
