/** A file as it is made: in pieces, as fast as the client reads. */
import type { ExportAggregatesResponse as Part } from '../../contract/generated/clickledger/v1/ExportAggregatesResponse.ts';

export const FORMATS = {
  CSV: ['csv', 'text/csv; charset=utf-8; header=present'],
  NDJSON: ['ndjson', 'application/x-ndjson'],
  PARQUET: ['parquet', 'application/vnd.apache.parquet'],
} as const;

export interface DownloadParts {
  /** Called when nothing more comes. */
  readonly ended: () => void;
  /** Told what went wrong when the client has got the beginning of its file already. */
  readonly explain: (error: unknown) => unknown;
}

/** Returns with the first piece: until then an error is a problem with its own status. */
export async function download(
  parts: AsyncIterable<Part>,
  format: string,
  { ended, explain }: DownloadParts,
): Promise<Response> {
  const iterator = parts[Symbol.asyncIterator]();
  let next: IteratorResult<Part> | undefined = await iterator.next();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        for (;;) {
          const part = next ?? (await iterator.next());
          next = undefined;
          if (part.done) break;
          if (part.value.chunk instanceof Uint8Array) return controller.enqueue(part.value.chunk);
        }
        ended();
        controller.close();
      } catch (error) {
        ended();
        explain(error);
        controller.error(error);
      }
    },
    async cancel() {
      ended();
      await iterator.return?.().catch(() => undefined);
    },
  });
  const [ending, type] = FORMATS[format as keyof typeof FORMATS];
  return new Response(body, {
    headers: {
      'Content-Type': type,
      'Content-Disposition': `attachment; filename="aggregates.${ending}"`,
      'Cache-Control': 'no-store',
    },
  });
}
