/** Gives real processes their own wall clock, which jumps while they run: libfaketime. Timers are not affected. */
import { chmodSync, globSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1')

/** Why it cannot be used on this machine; false if it can. */
export const noFakeClock: string | false =
  library === undefined && 'libfaketime is not installed: apt-get install libfaketime'

export interface FakeClock extends Disposable {
  /** Environment variables for the process. */
  env: Record<string, string>
  /** Sets the clock this many seconds ahead of the real time; behind, if negative. */
  shift(seconds: number): void
}

export function fakeClock(): FakeClock {
  const directory = mkdtempSync(join(tmpdir(), 'stagedoor-clock-'))
  // The database may run under another account.
  chmodSync(directory, 0o755)
  const file = join(directory, 'time')
  const shift = (seconds: number) => {
    // Replaced atomically, because the library reads the file at every call.
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
