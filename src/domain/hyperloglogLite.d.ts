/** As much of hyperloglog-lite, which has no types, as `hyperLogLog.ts` uses. */
declare module 'hyperloglog-lite' {
  interface Sketch {
    add(words: readonly number[]): void;
    merge(other: { readonly n: number; readonly buckets: Uint8Array }): void;
    output(): { readonly n: number; readonly buckets: Uint8Array };
  }
  // biome-ignore lint/style/noDefaultExport: the package has no other.
  export default function hyperLogLog(n: number): Sketch;
}
