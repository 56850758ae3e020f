import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PostgresCluster } from '../test/support/postgres/cluster.ts'

/**
 * Reads the CPU time of processes from Linux's /proc. CPU time per answer is the main figure of the benchmarks, because other
 * work on the machine affects it less than speed.
 */

/** The kernel counts the time of ended threads and processes in units of 10 ms. */
const TICK_US = 10_000

interface Process {
  pid: number
  parent: number
  /** Its own CPU time, and that of its ended children, in ticks. */
  own: number
  ended: number
}

const numbered = (folder: string) => readdirSync(folder).filter(name => /^\d+$/.test(name))

function processes(): Process[] {
  return numbered('/proc').flatMap(pid => {
    try {
      // The name, which may contain anything, is in parentheses.
      const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ')
        .map(Number)
      const [parent = 0, user = 0, system = 0, endedUser = 0, endedSystem = 0] = [fields[1], ...fields.slice(11, 15)]
      return [{ pid: Number(pid), parent, own: user + system, ended: endedUser + endedSystem }]
    } catch {
      return [] // It has just ended.
    }
  })
}

/** Returns the CPU time of a process's running threads in µs, which the kernel counts in nanoseconds. */
function threadsOf(pid: number): number {
  let nanoseconds = 0
  for (const thread of numbered(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0])
    } catch {
      // The thread has just ended.
    }
  }
  return nanoseconds / 1_000
}

/**
 * Returns the CPU time that these processes and all of their descendants have used so far, in µs.
 * @returns undefined if this is not Linux, or if none of them runs
 */
export function cpuOf(roots: readonly number[]): number | undefined {
  if (process.platform !== 'linux' || roots.length === 0) return undefined
  const all = processes()
  const wanted = new Set(roots)
  for (let size = 0; size < wanted.size; ) {
    size = wanted.size
    for (const { pid, parent } of all) if (wanted.has(parent)) wanted.add(pid)
  }
  const found = all.filter(({ pid }) => wanted.has(pid))
  if (found.length === 0) return undefined
  let total = 0
  for (const { pid, own, ended } of found) {
    try {
      // Ticks include threads that have ended, nanoseconds are exact.
      total += Math.max(threadsOf(pid), own * TICK_US) + ended * TICK_US
    } catch {
      total += (own + ended) * TICK_US
    }
  }
  return total
}

/** Returns the id of a cluster's main process: all others are its children. */
export const pidOf = (cluster: PostgresCluster) =>
  Number(readFileSync(join(cluster.directory, 'postmaster.pid'), 'utf8').split('\n')[0])
