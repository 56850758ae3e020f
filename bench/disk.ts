import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { answer } from './child.ts'

/** Bytes of one page of a write-ahead log with its header: the minimum that a commit writes. */
const FRAME = Buffer.alloc(4_096 + 24, 1)

/** Measures how many times a second one writer syncs `FRAME` to disk: appending to a file, and overwriting one. */
function diskRates(folder: string, seconds: number): { append: number; overwrite: number } {
  const path = join(folder, 'disk-rate')
  const file = openSync(path, 'w')
  const measure = (position: () => number | null) => {
    const start = performance.now()
    let writes = 0
    while (performance.now() - start < seconds * 500) {
      writeSync(file, FRAME, 0, FRAME.length, position())
      fdatasyncSync(file)
      writes++
    }
    return { writes, rate: (writes * 1_000) / (performance.now() - start) }
  }
  const append = measure(() => null)
  let at = 0
  const overwrite = measure(() => (at++ % append.writes) * FRAME.length)
  closeSync(file)
  rmSync(path)
  return { append: append.rate, overwrite: overwrite.rate }
}

answer(({ folder, seconds }: { folder: string; seconds: number }) => diskRates(folder, seconds))
