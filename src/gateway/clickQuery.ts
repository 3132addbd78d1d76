/**
 * The parameters of a click URL. As a rule nothing in them is escaped, and then the text between the signs is what they
 * say: `URLSearchParams` costs more than all else that reading a click URL needs. It decides wherever it could differ.
 */

/** Each value of the parameters of these names, in order. */
export type QueryValues = (name: string) => readonly string[];

/** Escapes, blanks written as `+`, and a second question mark, which `URLSearchParams` would drop. */
const NOT_PLAIN = /[%+]|^\?/;

/** @param query what follows the question mark of a URL */
export function readQuery(query: string): QueryValues {
  if (NOT_PLAIN.test(query)) {
    const parameters = new URLSearchParams(query);
    return (name) => parameters.getAll(name);
  }
  const pairs = query.split('&');
  return (name) => {
    const start = `${name}=`;
    const values: string[] = [];
    for (const pair of pairs) {
      if (pair.startsWith(start)) values.push(pair.slice(start.length));
      else if (pair === name) values.push('');
    }
    return values;
  };
}
