import { spawnSync } from 'node:child_process'
import { pinned } from './child.ts'

export interface OpensslRates {
  sign: Record<string, number>
  verify: Record<string, number>
}

const lines = { RS256: /^rsa +2048 bits(.+)$/m, ES256: /ecdsa \(nistp256\)(.+)$/m, EdDSA: /EdDSA \(Ed25519\)(.+)$/m }

/**
 * Runs `openssl speed` on these cores, in one process or several.
 * @returns undefined if there is no openssl
 */
export function opensslRates(
  algorithms: string[],
  seconds: number,
  { cores, processes }: { cores: string; processes?: number },
): OpensslRates | undefined {
  const multi = processes === undefined ? [] : ['-multi', String(processes)]
  const args = ['speed', ...multi, '-seconds', String(Math.max(1, Math.round(seconds))), ...algorithms]
  const run = spawnSync(...pinned(cores, 'openssl', args), { encoding: 'utf8', timeout: 60_000 })
  if (run.error || run.status !== 0) return undefined
  const rates: OpensslRates = { sign: {}, verify: {} }
  for (const [alg, line] of Object.entries(lines)) {
    // Times end in `s`; the rates are the bare numbers, sign/s first.
    const numbers = line.exec(run.stdout)?.[1]?.match(/(?<![\d.])\d+(\.\d+)?(?=\s|$)/g)
    if (!numbers) continue
    rates.sign[alg] = Number(numbers[0])
    rates.verify[alg] = Number(numbers[1])
  }
  return rates
}
