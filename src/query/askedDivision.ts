/** What rows are divided by, and whether it is rolled up. */
import { invalidArgument } from '../contract/callErrors.ts';
import { ROLLUP_KINDS } from '../domain/dimensions.ts';
import {
  clickDimensions,
  type DimensionFilter,
  GROUP_DIMENSIONS,
  type GroupDimension,
  kindOf,
} from '../domain/groups.ts';
import type { Selection } from './adSelection.ts';
import { oneOf } from './askedFields.ts';

/** Instead of dimensions: rows are divided by time alone. */
const TOTAL = 'total';

/** The dimensions of group_by, or what stands for it where it is empty. */
export function readGroupBy(names: readonly string[], selection: Selection): GroupDimension[] {
  if (names.length === 0) return selection === undefined ? [] : [selection.by];
  if (names.length === 1 && names[0] === TOTAL) return [];
  const dimensions: GroupDimension[] = [];
  for (const name of names) {
    if (name === TOTAL) {
      throw invalidArgument(`group_by "${TOTAL}" is wrong: it must stand alone`);
    }
    const dimension = oneOf('group_by', name, [...GROUP_DIMENSIONS, TOTAL] as const);
    if (dimension === TOTAL) continue;
    if (dimensions.includes(dimension)) throw invalidArgument(`group_by ${dimension} stands there twice`);
    dimensions.push(dimension);
  }
  return dimensions;
}

/** @param fields by which the caller named the dimensions */
export function checkRolledUp(
  groupBy: readonly GroupDimension[],
  filters: readonly DimensionFilter[],
  fields = 'group_by and filters',
): void {
  const dimensions = clickDimensions(groupBy, filters);
  if (dimensions.length < 2 || kindOf(dimensions) !== undefined) return;
  const pairs = Object.values(ROLLUP_KINDS).filter((names) => names.length > 1);
  throw invalidArgument(
    `${fields} ask for ${dimensions.join(' with ')}, which are not rolled up together: right is one dimension of clicks, or ${pairs.map((names) => names.join(' with ')).join(', or ')}`,
  );
}
