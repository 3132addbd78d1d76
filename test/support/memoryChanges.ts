/** Announcements among nodes, in memory: they come a little later, to all others, or are lost. */
import type { OwnershipChanges } from '../../src/actors/ports.ts';

export class MemoryChanges {
  readonly #heard = new Map<string, () => void>();
  /** Nothing that is announced arrives. */
  isSilent = false;

  of(node: string): OwnershipChanges {
    return {
      announce: () => {
        for (const [name, heard] of this.#heard)
          queueMicrotask(() => {
            if (name !== node && !this.isSilent) heard();
          });
      },
      onChange: (heard) => void this.#heard.set(node, heard),
    };
  }
}
