import { closeSync, openSync, readFileSync, statSync, unlinkSync, writeFileSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { StoreUnavailable } from '../domain/store.ts'

/** How often a host says that it is still there, ms; and after how long without it is taken to be gone. */
const BEAT = 5_000
const GONE_AFTER = 30_000

/** A machine, or rather one run of its kernel: processes under one kernel share memory, containers of one machine too. */
export interface Host {
  /** For people. */
  name: string
  boot: string
}

export function thisHost(): Host {
  const name = hostname()
  try {
    return { name, boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() }
  } catch {
    // Not Linux.
    return { name, boot: name }
  }
}

/**
 * Keeps a second host away from a database file. SQLite's processes agree through shared memory, which ends at the
 * machine: over a network file system two hosts would each write as if they were alone, and redeem a ticket twice. A
 * guard against a wrong set-up, not a lock to rely on for anything else.
 */
export class HostLock {
  readonly #path: string
  readonly #host: Host
  readonly #beating: NodeJS.Timeout
  #made = false
  #takenBy: Host | undefined

  /** @throws Error that says what to do if another host is using the database */
  constructor(databasePath: string, host = thisHost()) {
    this.#path = `${databasePath}-host`
    this.#host = host
    const other = this.#claim()
    if (other) {
      const age = this.#age()
      if (age < GONE_AFTER) {
        throw new Error(
          `another host, ${other.name}, is using it, and SQLite works on one host only. Start the server there; ` +
            `or stop it there, and after ${Math.ceil((GONE_AFTER - age) / 1_000)} s start this one again ` +
            `(at once if you delete ${this.#path}, when that host is surely gone).`,
        )
      }
      writeFileSync(this.#path, JSON.stringify(host), { mode: 0o600 })
      this.#made = true
    }
    this.#beating = setInterval(() => this.beat(), BEAT).unref()
  }

  /** Says that this host is still there; and notices if another one has taken its place meanwhile. */
  beat(): void {
    try {
      this.#takenBy ??= this.#claim()
    } catch {
      // A full disk, say. Others will think that this host is gone; then the next beat notices.
    }
  }

  /** @throws StoreUnavailable if another host has taken the database over, when this one had been still for long */
  assertHeld(): void {
    if (this.#takenBy)
      throw new StoreUnavailable(
        `another host, ${this.#takenBy.name}, has taken the database over. Stop one of the two servers, and start this one again.`,
      )
  }

  release(): void {
    clearInterval(this.#beating)
    if (!this.#made || this.#takenBy) return
    try {
      unlinkSync(this.#path)
    } catch {
      // Gone already.
    }
  }

  /** @returns the host that has it, if that is another one */
  #claim(): Host | undefined {
    const mine = JSON.stringify(this.#host)
    try {
      writeFileSync(this.#path, mine, { flag: 'wx', mode: 0o600 })
      this.#made = true
      return undefined
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const text = readFileSync(this.#path, 'utf8')
    const other = read(text)
    if (other && other.boot !== this.#host.boot) return other
    // Over what is there, never emptied: nobody reads half of it.
    const file = openSync(this.#path, 'r+')
    writeSync(file, mine, 0)
    closeSync(file)
    return undefined
  }

  /** Since the other host's last sign of life, by the clock that stamps the files: hosts need not agree on the time. */
  #age(): number {
    const probe = `${this.#path}-probe`
    writeFileSync(probe, '')
    const age = statSync(probe).mtimeMs - statSync(this.#path).mtimeMs
    unlinkSync(probe)
    return age
  }
}

function read(text: string): Host | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
