import { generateKeyPairSync, sign } from 'node:crypto'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import type { Facts } from '../packages/server/src/domain/policy-engine.ts'
import { neutralFacts } from '../packages/server/src/domain/policy-facts.ts'
import { DecidingSet } from '../packages/server/src/policy/decide.ts'
import { readDocument } from '../packages/server/src/policy/document.ts'
import { BASE_RULES, CedarInstance, newCedar } from '../packages/server/src/policy/instance.ts'

/**
 * Measures how long a decision takes with 12, 25 and 200 policies, base rules included, and for comparison an ES256 signature,
 * which every mint needs. All are timed in turns, in one process: wall time, and CPU time on average. Also measures what loading
 * the engine costs.
 */

const { values: options } = parseArgs({ options: { count: { type: 'string', default: '3000' } } })
const count = Number(options.count)

const memory = () => process.memoryUsage().rss / 1e6
const cpu = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e3
}

/** @returns a document with this many policies, some of which apply to the request */
function documentOf(policies: number): string {
  const permit = '@id("support") permit (principal in Team::"support", action in Action::"act", resource);'
  const others = Array.from({ length: policies - 1 }, (_, n) =>
    n % 2 === 0
      ? `@id("team-${n}") permit (principal in Team::"team-${n}", action in Action::"act", resource)
when { context.duration <= ${n + 60} && resource in principal.organizations };`
      : `@id("limit-${n}") forbid (principal, action in Action::"act", resource)
when { context.duration > ${n + 3_600} && context has auth && context.auth.age > ${n} };`,
  )
  return [permit, ...others].join('\n')
}

function request(): Facts {
  const { principal, resource, context } = neutralFacts()
  return {
    principal: { ...principal, teams: ['support', 'tier-2'], organizations: ['acme', 'globex'] },
    resource: { ...resource, tags: ['vip'], organizations: ['acme'] },
    context: { ...context, reason: { category: 'change', ticket: 'T-17' }, auth: { age: 60, amr: ['pwd', 'otp'] } },
  }
}

const [memoryBefore, cpuBefore] = [memory(), cpu()]
const instance = new CedarInstance(newCedar())
const loading = `${Math.round(cpu() - cpuBefore)} ms of CPU time, ${Math.round(memory() - memoryBefore)} MB`

const facts = request()
const subjects = new Map<string, () => unknown>()
for (const total of [12, 25, 200]) {
  const { compiled, errors } = readDocument(instance.cedar, documentOf(total - BASE_RULES.length), [])
  if (!compiled) throw new Error(JSON.stringify(errors))
  const set = new DecidingSet(`bench ${total}`, compiled, [])
  if (!set.decide(instance, facts, 'write').allowed) throw new Error('The request must be allowed.')
  subjects.set(`decision, ${total} policies`, () => set.decide(instance, facts, 'write'))
}
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const payload = Buffer.alloc(600, 'x')
subjects.set('ES256 signature', () => sign('sha256', payload, { key: privateKey, dsaEncoding: 'ieee-p1363' }))

/** Calls in a row of one subject. */
const BLOCK = 20
const results = new Map([...subjects.keys()].map(name => [name, { times: [] as number[], cpu: 0 }]))
for (let turn = -15; turn < count / BLOCK; turn++) {
  for (const [name, once] of subjects) {
    const result = results.get(name)
    const before = process.threadCpuUsage()
    for (let call = 0; call < BLOCK; call++) {
      const start = performance.now()
      once()
      if (turn >= 0) result?.times.push((performance.now() - start) * 1e3)
    }
    const used = process.threadCpuUsage(before)
    if (result && turn >= 0) result.cpu += used.user + used.system
  }
}

const row = (name: string, cells: (string | number)[]) =>
  console.log(name.padEnd(24) + cells.map(cell => String(cell).padStart(8)).join(''))
console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.version}; ${count} of each, in turns`)
console.log(`loading the engine: ${loading}; memory at the end ${Math.round(memory())} MB\n`)
row('µs', ['min', 'p50', 'p99', 'CPU'])
for (const [name, { times, cpu: used }] of results) {
  const sorted = times.sort((a, b) => a - b)
  const at = (part: number) => Math.round(sorted[Math.floor(sorted.length * part)] ?? Number.NaN)
  row(name, [at(0), at(0.5), at(0.99), Math.round(used / times.length)])
}
