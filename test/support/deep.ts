/** The long forms of the tests: `npm run test:deep`. */

/** Whether this is a deep run. */
export const deep = process.env.TEST_DEEP !== undefined

/** Returns the number of repetitions: `short` in `npm test`, `long` in `npm run test:deep`. */
export function times(short: number, long: number): number {
  return deep ? long : short
}

/** Prints the result of a deep run. Results of short runs mean little. */
export function goal(id: string, value: number, target: string, reached: boolean): void {
  if (deep) console.log(`goal ${id}: ${Number(value.toPrecision(3))} ${target} ${reached ? 'PASS' : 'FAIL'}`)
}
