import { closeSync, openSync, readFileSync, statSync, unlinkSync, writeFileSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { StoreUnavailable } from '../../domain/store.ts'

/** Interval between heartbeats, in ms. */
const BEAT = 5_000
/** Time without a heartbeat after which a host counts as gone, in ms. */
const GONE_AFTER = 30_000

/**
 * A machine, or more precisely one boot of its kernel: processes under one kernel share memory, also between containers
 * of one machine.
 */
export interface Host {
  /** Host name, for messages. */
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
 * Prevents a second host from using a database file. SQLite's processes coordinate through shared memory, which does
 * not reach beyond one machine. Over a network file system, two hosts would each write as if they were alone, and
 * redeem a ticket twice. This is a guard against a wrong setup, not a lock to rely on for anything else.
 */
export class HostLock {
  readonly #path: string
  readonly #host: Host
  readonly #beating: NodeJS.Timeout
  #made = false
  /** The host that has taken over the database, if another one has. */
  takenBy: Host | undefined

  /** @throws Error that tells what to do if another host is using the database */
  constructor(databasePath: string, host = thisHost()) {
    this.#path = `${databasePath}-host`
    this.#host = host
    const other = this.#claim()
    if (other) {
      const age = this.#age()
      if (age < GONE_AFTER) {
        throw new Error(
          `another host, ${other.name}, is using it, and SQLite works on one host only. Start the server there, ` +
            `or stop it there and start this one again after ${Math.ceil((GONE_AFTER - age) / 1_000)} s. ` +
            `If that host no longer runs, delete ${this.#path} to start at once.`,
        )
      }
      writeFileSync(this.#path, JSON.stringify(host), { mode: 0o600 })
      this.#made = true
    }
    this.#beating = setInterval(() => this.beat(), BEAT).unref()
  }

  /** Writes a heartbeat, and detects whether another host has taken over since the last one. */
  beat(): void {
    try {
      this.takenBy ??= this.#claim()
    } catch {
      // The disk may be full, for example. Another host may then take over; the next successful heartbeat detects that.
    }
  }

  /** @throws StoreUnavailable if another host has taken over the database after this one sent no heartbeats */
  assertHeld(): void {
    if (this.takenBy)
      throw new StoreUnavailable(
        `another host, ${this.takenBy.name}, has taken the database over. Stop one of the two servers, and start this one again.`,
      )
  }

  release(): void {
    clearInterval(this.#beating)
    if (!this.#made || this.takenBy) return
    try {
      unlinkSync(this.#path)
    } catch {
      // It does not exist.
    }
  }

  /** Claims the file for this host. @returns the host that holds it, if that is another one */
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
    // Overwrite in place, so that no reader sees an empty or half-written file.
    const file = openSync(this.#path, 'r+')
    writeSync(file, mine, 0)
    closeSync(file)
    return undefined
  }

  /**
   * Returns the time since the other host's last heartbeat, in ms, by the clock of the file system: the hosts' clocks
   * may differ.
   */
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
