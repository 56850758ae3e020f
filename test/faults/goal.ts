/** Seeds, goals, and the evidence of a failed run. */
import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deep } from '../support/deep.ts'

/**
 * Checks a goal. Prints a line in the deep run; throws if the goal was missed, in every run. The evidence is then kept
 * in a file.
 * @param evidence what to inspect after a failure, above all the seed
 * @example goal('D8', `${lost} lost in ${cycles} kills`, '0 lost', lost === 0, () => ({ seed, history }))
 */
export function goal(id: string, value: string, target: string, kept: boolean, evidence: () => object = () => ({})) {
  assertKept(id, `${value} (${target})`, kept, evidence)
  if (deep) console.log(`goal ${id}: ${value} (${target}) PASS`)
}

/** Checks one part of a goal. */
export function assertKept(id: string, value: string, kept: boolean, evidence: () => object): void {
  if (kept) return
  const file = join(tmpdir(), `stagedoor-${id.replace(/\W+/g, '-')}-${Date.now()}.json`)
  writeFileSync(file, JSON.stringify(evidence(), null, 1))
  if (deep) console.log(`goal ${id}: ${value} FAIL`)
  throw new Error(`goal ${id}: ${value} FAIL\nEvidence: ${file}. To repeat this run, set TEST_SEED to its seed.`)
}

/** Returns new random seeds, or the one in TEST_SEED. They decide the actions and the faults. */
export function seeds(count: number): number[] {
  const { TEST_SEED } = process.env
  if (TEST_SEED !== undefined) return [Number(TEST_SEED)]
  return Array.from({ length: count }, () => randomInt(2 ** 32))
}

/** Random numbers drawn from a seed. */
export interface Random {
  /** From 0 (inclusive) to 1 (exclusive). */
  next(): number
  /** A whole number, both ends included. */
  between(from: number, to: number): number
  of<T>(values: readonly T[]): T
}

/** Mulberry32: 32 bits of state are enough for these choices. */
export function randomOf(seed: number): Random {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (from: number, to: number) => from + Math.floor(next() * (to - from + 1))
  return { next, between, of: values => values[between(0, values.length - 1)] as never }
}
