/** What stands in PostgreSQL's bytes when a flush went through. */

/** The tag of a finished `select`, which the flush statement is at its end: sent after the commit, never before. */
export const COMMITTED = 'SELECT 1';
