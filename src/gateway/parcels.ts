/** Clicks of one request, put together into portions that fit a message. */

/** A message may hold a batch and one portion more: far below the broker's limit of 1 MiB. */
export const PARCEL_BYTES_MAX = 128 * 1024;

export interface Parcel {
  /** Places of the records in the caller's list. */
  readonly places: number[];
  readonly records: Uint8Array[];
  bytes: number;
}

/** Adds a record to the last of `parcels`, or to a new one where it does not fit. */
export function addToParcels(parcels: Parcel[], place: number, record: Uint8Array): void {
  let parcel = parcels.at(-1);
  if (parcel === undefined || parcel.bytes + record.length > PARCEL_BYTES_MAX) {
    parcel = { places: [], records: [], bytes: 0 };
    parcels.push(parcel);
  }
  parcel.places.push(place);
  parcel.records.push(record);
  parcel.bytes += record.length;
}
