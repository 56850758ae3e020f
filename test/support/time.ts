/**
 * Time-outs of the tests, in one place. A time-out only decides how long a test waits before it fails, so it costs nothing
 * when the test passes: each is several times what a quiet machine needs.
 */

import { deep } from './deep.ts'

/** TEST_PATIENCE sets another factor, for machines that are slower still. */
const FACTOR = Number(process.env.TEST_PATIENCE ?? 4)

/**
 * Returns how long to wait for something that takes at most `ms` on a quiet machine, in ms.
 * @example page.setDefaultTimeout(patience(15_000))
 */
export function patience(ms: number): number {
  return ms * FACTOR
}

/**
 * Waits until a check returns a truthy value.
 * @param what names what did not happen, for the error
 * @param ms how long it takes at most on a quiet machine
 * @returns the value of the check
 * @example await until(() => server.output().includes('draining'), 'the server does not drain')
 */
export async function until<T>(check: () => T | Promise<T>, what: string | (() => string), ms = 5_000): Promise<T> {
  const end = performance.now() + patience(ms)
  for (;;) {
    const value = await check()
    if (value) return value
    if (performance.now() > end) throw new Error(typeof what === 'string' ? what : what())
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

/**
 * Returns the limit of a duration that the product promises, in ms: exact in the deep run, which needs a quiet machine, and
 * with allowance for a busy machine otherwise.
 * @example assert.ok(took < promised(1_000), `${took} ms`)
 */
export function promised(ms: number): number {
  return deep ? ms : patience(ms)
}
