/** What one replay for an audit needs. Clicks that were judged again are judged so here too (I11). */
import { type Reclassification, RejudgedRules } from '../domain/rulesInForce.ts';
import type { AuditParts } from './auditPorts.ts';
import type { ScanParts } from './standingRecords.ts';

export function openScan(
  { routing, openStreams }: AuditParts,
  reclassifications: readonly Reclassification[],
  stop: AbortController,
): ScanParts {
  const rules = new RejudgedRules(routing.table, reclassifications);
  return { streams: openStreams(stop), routing, rules, stop: stop.signal };
}
