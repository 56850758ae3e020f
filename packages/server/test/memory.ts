import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Returns the memory in use after garbage collection, in MB. */
export async function memoryInUse(): Promise<number> {
  setFlagsFromString('--expose-gc')
  // The memory of buffers is released in the background after a collection: look again after the next one.
  for (let collections = 0; collections < 3; collections++) {
    runInNewContext('gc')()
    await nextTurn()
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / 1e6
}
