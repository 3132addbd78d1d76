/** What `/readyz` says: whether a click can be made durable now, and where. */
import type { Spool } from './spool.ts';

/** @param jetStreamAnswers whether the broker does */
export function readiness(
  jetStreamAnswers: boolean,
  { bytes, isFull }: Pick<Spool, 'bytes' | 'isFull'>,
): Response {
  if (jetStreamAnswers) return Response.json({ status: 'ready', spool_bytes: bytes });
  const status = isFull
    ? 'JetStream does not answer, and the spool is full'
    : 'JetStream does not answer; clicks go to the spool';
  return Response.json({ status, spool_bytes: bytes }, { status: isFull ? 503 : 200 });
}
