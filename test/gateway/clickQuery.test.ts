/** Parameters of click URLs, held against the platform's own reading. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readQuery } from '../../src/gateway/clickQuery.ts';

const piece = fc.constantFrom(
  'adId',
  'adId',
  '=',
  '&',
  'a',
  '1',
  '?',
  '%',
  '%41',
  '+',
  '#',
  'ä',
  '😀',
  '',
  ' ',
  '&&',
  '==',
);

it('reads any query as URLSearchParams does', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.string({ unit: 'grapheme' }), (pieces, text) => {
      for (const query of [pieces.join(''), `${text}&adId=${text}`]) {
        const values = readQuery(query);
        for (const name of ['adId', 'a', 'signature'])
          expect(values(name), query).toEqual(new URLSearchParams(query).getAll(name));
      }
    }),
    { numRuns: 3_000 },
  );
});
