/** A wall clock of their own for real processes, which jumps while they run: libfaketime. Timers go on as ever. */
import { chmodSync, globSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1')

/** Why it cannot be used here; false if it can. */
export const noFakeClock: string | false =
  library === undefined && 'libfaketime is not installed: apt-get install libfaketime'

export interface FakeClock extends Disposable {
  /** What a process has to be started with. */
  env: Record<string, string>
  /** From now on it is so many seconds later than it is; earlier, if negative. */
  shift(seconds: number): void
}

export function fakeClock(): FakeClock {
  const directory = mkdtempSync(join(tmpdir(), 'stagedoor-clock-'))
  // A database may run as somebody else.
  chmodSync(directory, 0o755)
  const file = join(directory, 'time')
  const shift = (seconds: number) => {
    // Never half written: it is read at every look at the clock.
    writeFileSync(`${file}.new`, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}`)
    renameSync(`${file}.new`, file)
  }
  shift(0)
  return {
    env: {
      LD_PRELOAD: library ?? '',
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_RESET: '1',
      FAKETIME_DISABLE_SHM: '1',
    },
    shift,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  }
}
