/** Trouble at random, as a seed decides, for as long as something is tried. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Server } from './cluster.ts'
import type { FaultDatabase } from './database.ts'
import type { Random } from './goal.ts'

export type Fault = (random: Random) => Promise<void>

/** SIGKILL, and started again at once. */
export const kill =
  (servers: Server[]): Fault =>
  async random => {
    const server = random.of(servers)
    await server.kill()
    await server.start()
  }

/** SIGSTOP for a while: mostly shorter, sometimes longer than others wait for a lock. */
export const pause =
  (servers: Server[]): Fault =>
  random =>
    random.of(servers).pause(random.next() < 0.1 ? random.between(2_000, 3_000) : random.between(5, 600))

export const disturbance =
  (database: FaultDatabase): Fault =>
  random =>
    database.disturb(random)

/**
 * Does something, and breaks things meanwhile: one after another, with a rest between.
 * @returns how often something was broken
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
