/** Injects random faults, chosen by a seed, while a test runs. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Server } from './cluster.ts'
import type { FaultDatabase } from './database.ts'
import type { Random } from './goal.ts'

export type Fault = (random: Random) => Promise<void>

/** SIGKILL, then an immediate restart. */
export const kill =
  (servers: Server[]): Fault =>
  async random => {
    const server = random.of(servers)
    await server.kill()
    await server.start()
  }

/** SIGSTOP for a while: mostly short, sometimes longer than other processes wait for a lock. */
export const pause =
  (servers: Server[]): Fault =>
  random =>
    random.of(servers).pause(random.next() < 0.1 ? random.between(2_000, 3_000) : random.between(5, 600))

export const disturbance =
  (database: FaultDatabase): Fault =>
  random =>
    database.disturb(random)

/**
 * Runs `work` and injects faults until it ends: one after another, with a pause in between.
 * @returns the number of faults injected
 */
export async function during(
  work: () => Promise<void>,
  faults: Fault[],
  random: Random,
  rest: { from: number; to: number },
): Promise<number> {
  let working = true
  let broken = 0
  const breaking = async () => {
    while (faults.length > 0) {
      const pause = sleep(random.between(rest.from, rest.to))
      await Promise.race([pause, done])
      if (!working) return
      await random.of(faults)(random)
      broken++
    }
  }
  const done = work().finally(() => {
    working = false
  })
  await Promise.all([done, breaking()])
  return broken
}
