/** Why a click was not taken that was good in itself. Nothing was answered that is not so. */

/** It is not known to be durable: it may be on the stream or not. The same click may be sent again. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
}

/** The gateway holds as many unconfirmed clicks as it may (I14). Nothing of this one was kept. */
export class OverloadedError extends Error {
  override readonly name = 'OverloadedError';
}
