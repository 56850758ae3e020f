import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { z } from 'zod'
import { goal } from '../../../test/support/deep.ts'
import { bapi } from '../src/contract/bapi.ts'
import { fapi } from '../src/contract/fapi.ts'

/** No pattern takes long on any input: a regular expression that backtracks blocks the whole server. */

const root = fileURLToPath(new URL('../src', import.meta.url))
const LENGTH = 50_000

/** Regular expressions in the source code. */
function literals(): Map<string, RegExp> {
  const found = new Map<string, RegExp>()
  for (const file of globSync('{contract,domain,http,signing}/**/*.ts', { cwd: root })) {
    const code = readFileSync(`${root}/${file}`, 'utf8').replace(/^ *\/?\*.*$|\/\/.*$/gm, '')
    for (const [, source = '', flags] of code.matchAll(
      /(?<=[(=,:[!&|?>]\s*|return )\/((?![*/])(?:\\.|\[(?:\\.|[^\]\n])*\]|[^/\n\\[])+)\/([a-z]*)/g,
    )) {
      found.set(`${file}: /${source}/${flags}`, new RegExp(source, flags))
    }
  }
  return found
}

/** Regular expressions that zod creates for a format. */
function ofSchemas(): Map<string, RegExp> {
  const found = new Map<string, RegExp>()
  const seen = new Set<unknown>()
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return
    seen.add(value)
    if (value instanceof RegExp) found.set(`zod: ${value}`, value)
    else if ('_zod' in value) visit((value as z.ZodType)._zod.def)
    else Object.values(value).forEach(visit)
  }
  for (const { body, query } of [...bapi, ...fapi]) visit([body, query])
  return found
}

/** Returns long texts that the pattern matches except for the end. */
function evil(source: string): string[] {
  const pieces = new Set([
    'a',
    '0',
    'A',
    '-',
    '.',
    ' ',
    '\t',
    '_',
    '/',
    ':',
    '{',
    '{{',
    '}',
    '=',
    ';',
    ',',
    '"',
    '\\',
    '%',
    '@',
    'a.',
    'a-',
    '0-',
    'a@',
    ' a',
    'a ',
    '{{a',
    '{{ ',
    '\u00e9',
    '\n',
  ])
  for (const [word] of source.matchAll(/[a-z0-9_]{2,}/gi)) pieces.add(word)
  return [...pieces].flatMap(piece => {
    const long = piece.repeat(Math.ceil(LENGTH / piece.length))
    return ['', '!', '\0', ' ', '\n'].map(end => long + end)
  })
}

describe('patterns', () => {
  const patterns = new Map([...literals(), ...ofSchemas()])

  it('the test finds the patterns', () => {
    assert.ok(patterns.size > 30, `${patterns.size}`)
    assert.ok([...patterns.keys()].some(name => name.startsWith('zod: ')))
  })

  it('take no longer than reading the input', { timeout: 300_000 }, () => {
    let longest = 0
    const slow: string[] = []
    for (const [name, pattern] of patterns) {
      for (const text of evil(pattern.source)) {
        // Keep the fastest run: a busy machine does not slow down every run.
        let took = timeOf(pattern, text)
        for (let again = 0; took > 5 && again < 4; again++) took = Math.min(took, timeOf(pattern, text))
        longest = Math.max(longest, took)
        if (took > 50)
          slow.push(
            `${name}: ${took.toFixed(0)} ms for ${JSON.stringify(text.slice(0, 20))}…${JSON.stringify(text.at(-1))}`,
          )
      }
    }
    assert.deepEqual(slow, [])
    goal('H11-slowest-pattern-ms', longest, '< 5', longest < 5)
  })
})

function timeOf(pattern: RegExp, text: string): number {
  pattern.lastIndex = 0
  const start = performance.now()
  pattern.test(text)
  return performance.now() - start
}
