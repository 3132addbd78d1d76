/**
 * The gRPC contract, loaded from proto/clickledger/v1. Field names stay as the files spell them; int64 values
 * are numbers (exact up to 2^53), enums their names, absent fields their defaults.
 */
import path from 'node:path';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync, type Options, type PackageDefinition } from '@grpc/proto-loader';
import type { ProtoGrpcType as AuditTypes } from '../../contract/generated/audit.ts';
import type { ProtoGrpcType as CatalogTypes } from '../../contract/generated/catalog.ts';
import type { ProtoGrpcType as IngestTypes } from '../../contract/generated/ingest.ts';
import type { ProtoGrpcType as QueryTypes } from '../../contract/generated/query.ts';
import { boundBatch } from './boundedBatch.ts';

const PROTO_FOLDER = path.resolve(import.meta.dirname, '../../../proto');

const OPTIONS: Options = {
  keepCase: true,
  longs: Number,
  enums: String,
  bytes: Buffer,
  defaults: true,
  arrays: true,
  objects: true,
  oneofs: true,
  includeDirs: [PROTO_FOLDER],
};

function load(...files: string[]): PackageDefinition {
  return loadSync(
    files.map((file) => `clickledger/v1/${file}`),
    OPTIONS,
  );
}

/** What each port serves, as server reflection needs it. */
export const ingestPackage: PackageDefinition = load('ingest.proto', 'catalog.proto');
export const queryPackage: PackageDefinition = load('query.proto', 'audit.proto');
export const auditPackage: PackageDefinition = load('audit.proto');

const ingest = loadPackageDefinition(ingestPackage) as unknown as IngestTypes & CatalogTypes;
const query = loadPackageDefinition(queryPackage) as unknown as QueryTypes & AuditTypes;

/** Client constructors; each has its service definition as `.service`. */
export const { ClickIngestService, AdCatalogService } = ingest.clickledger.v1;
boundBatch(ClickIngestService.service.BatchIngestClicks);
boundBatch(ClickIngestService.service.StreamIngestClicks);
export const { ClickQueryService, AuditService } = query.clickledger.v1;
