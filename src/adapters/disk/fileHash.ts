/** SHA-256 of a file, read in pieces. */
import { open } from 'node:fs/promises';

const PIECE_BYTES = 1024 * 1024;

/** @throws Error where there is no such file */
export async function hashFile(path: string): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const file = await open(path, 'r');
  try {
    const hash = new Bun.CryptoHasher('sha256');
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let bytes = 0; ; ) {
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, bytes);
      if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') };
      hash.update(piece.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
}
