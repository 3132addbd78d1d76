/**
 * The click_id of a row of a file that has none: a UUIDv7 made of the row's event time, the file's name and the
 * row's number. So the same row always gets the same id, and a second import of a file is nothing but duplicates.
 *
 * The 74 random bits of the UUID come from two xxHash64 of name and row number with different seeds; one alone has
 * only 64.
 */

const SEED_HIGH = 0x636c_6963_6b6c_6564n;
const SEED_LOW = 0x6765_725f_726f_7773n;

const RANDOM_A_MASK = 0xfffn;
const RANDOM_B_MASK = (1n << 62n) - 1n;
const VARIANT = 2n << 62n;

/** The largest time that the 48 bits of a UUIDv7 hold: in the year 10889. */
export const UUID7_TIME_MS_MAX = 2 ** 48 - 1;

/**
 * @param fileName the file's name without its folder, so that it does not matter where the file lies
 * @param rowNumber from 1
 * @param eventTimeMs whole milliseconds since the Unix epoch, 0 to UUID7_TIME_MS_MAX
 * @returns canonical text form, 36 characters
 */
export function derivedClickId(fileName: string, rowNumber: number, eventTimeMs: number): string {
  if (!Number.isInteger(eventTimeMs) || eventTimeMs < 0 || eventTimeMs > UUID7_TIME_MS_MAX) {
    throw new RangeError(
      `eventTimeMs ${eventTimeMs} does not fit a UUIDv7; right are whole numbers from 0 to ${UUID7_TIME_MS_MAX}`,
    );
  }
  // A file name cannot contain U+0000, so no two pairs give the same text.
  const row = `${fileName}\0${rowNumber}`;
  const randomA = Bun.hash.xxHash64(row, SEED_HIGH) & RANDOM_A_MASK;
  const randomB = VARIANT | (Bun.hash.xxHash64(row, SEED_LOW) & RANDOM_B_MASK);
  const time = eventTimeMs.toString(16).padStart(12, '0');
  const high = randomA.toString(16).padStart(3, '0');
  const low = randomB.toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${high}-${low.slice(0, 4)}-${low.slice(4)}`;
}
