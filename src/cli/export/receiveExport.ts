/** Takes the pieces of an export, and holds the file against its manifest before it takes its place. */
import type { ExportAggregatesResponse__Output as Part } from '../../contract/generated/clickledger/v1/ExportAggregatesResponse.ts';
import type { ExportManifest__Output as Manifest } from '../../contract/generated/clickledger/v1/ExportManifest.ts';
import type { ExportState } from './exportProgress.ts';
import type { Target } from './partFile.ts';

/** What arrived is not what the manifest says. */
export class BrokenExportError extends Error {
  override readonly name = 'BrokenExportError';
}

/** @throws BrokenExportError, and whatever `parts` and `target` throw: then there is no file. */
export async function receiveExport(
  parts: AsyncIterable<Part>,
  target: Target,
  onState: (state: ExportState) => void,
): Promise<Manifest> {
  const hash = new Bun.CryptoHasher('sha256');
  let bytes = 0;
  let manifest: Manifest | undefined;
  for await (const { chunk, manifest: last, rows, progress } of parts) {
    if (chunk != null) {
      hash.update(chunk);
      bytes += chunk.length;
      await target.write(chunk);
    }
    manifest = last ?? manifest;
    onState({ progress, rows, bytes });
  }
  if (manifest === undefined) throw new BrokenExportError('the export ended without its manifest');
  const sha256 = hash.digest('hex');
  if (manifest.bytes !== bytes || manifest.sha256 !== sha256) {
    throw new BrokenExportError(
      `${bytes} bytes with SHA-256 ${sha256} arrived, the manifest says ${manifest.bytes} with ${manifest.sha256}`,
    );
  }
  await target.finish();
  return manifest;
}
