import type { PolicyJson, PolicySetTextToPartsAnswer } from '@cedar-policy/cedar-wasm/nodejs'
import type { PolicyProblem } from '../domain/policy-engine.ts'
import { type Advice, adviceAbout, helpForError, writesWithoutRead } from './advice.ts'
import { ALWAYS_ON } from './base-policy.ts'
import { BASE_RULES, baseRules, type CedarModule, type CompiledPolicy } from './instance.ts'
import { SCHEMA } from './schema.ts'
import { indexOfByte, positionAt, type Span, scanText } from './text-limits.ts'
import { type Uses, UsesFinder } from './uses.ts'

/** Reads a document: its policies by their ids, what they use, and what is wrong with them. */

/** A document whose policies are valid. Plain data: threads pass it to each other. */
export interface CompiledDocument {
  /** Without the base rules. */
  policies: CompiledPolicy[]
  uses: Uses
}

export interface ReadDocument {
  errors: PolicyProblem[]
  warnings: PolicyProblem[]
  /** Undefined if there are errors. */
  compiled?: CompiledDocument
}

const ID = /^[a-z][a-z0-9._-]{0,63}$/
const ANNOTATIONS = ['id', 'title', 'message']
/** Annotations of features that do not exist yet. */
const LATER_ANNOTATIONS = ['notify', 'review']

interface ReadPolicy {
  span: Span
  text: string
  json: PolicyJson
}

/**
 * Reads a document. The text must be within the limits of text-limits.ts.
 *
 *     readDocument(newCedar(), 'permit (principal, action, resource);', []).errors[0].message   // 'A policy needs an @id.'
 */
export function readDocument(cedar: CedarModule, text: string, off: readonly string[]): ReadDocument {
  const errors: PolicyProblem[] = offProblems(off)
  const parts = cedar.policySetTextToParts(text)
  const { policies: spans } = scanText(text)
  errors.push(...textProblems(text, parts, spans))
  if (errors.length > 0) return { errors, warnings: [] }
  const read = spans.map((span): ReadPolicy => {
    const source = text.slice(span.start, span.end)
    const answer = cedar.policyToJson(source)
    if (answer.type !== 'success') throw new Error('A policy of a valid text is not valid.')
    return { span, text: source, json: answer.json }
  })
  errors.push(...read.flatMap(policy => annotationProblems(text, policy)), ...duplicateProblems(text, read))
  if (errors.length > 0) return { errors, warnings: [] }
  return validated(cedar, text, read, off)
}

function validated(cedar: CedarModule, text: string, read: ReadPolicy[], off: readonly string[]): ReadDocument {
  const staticPolicies = Object.fromEntries(read.map(policy => [idOf(policy), policy.text]))
  const answer = cedar.validate({ schema: SCHEMA, policies: { staticPolicies } })
  if (answer.type !== 'success') {
    return { errors: answer.errors.map(({ message, help }) => problem(text, null, null, message, help)), warnings: [] }
  }
  const problems = ({ policyId, error }: (typeof answer.validationErrors)[number]) => {
    const policy = read.find(each => idOf(each) === policyId)
    const [place] = error.sourceLocations ?? []
    const at = policy && policy.span.start + indexOfByte(policy.text, place?.start ?? 0)
    const message = error.message.replace(/^for policy `[^`]*`, | for Action::"\w+"/g, '')
    const help = helpForError(message) ?? error.help
    return problem(text, policyId, at ?? null, sentence(message), help === null ? null : sentence(help))
  }
  const errors = distinct(answer.validationErrors.map(problems)).sort(byPosition)
  const warnings = [...answer.validationWarnings.map(problems), ...advice(text, read)]
  if (!read.some(({ json }) => json.effect === 'permit')) {
    warnings.push(problem(text, null, null, 'No policy permits anything, so every request is refused.', null))
  }
  if (errors.length > 0) return { errors, warnings }
  return {
    errors,
    warnings,
    compiled: { policies: read.map(policy => compiled(text, policy)), uses: usesOf(cedar, read, off) },
  }
}

function usesOf(cedar: CedarModule, read: ReadPolicy[], off: readonly string[]): Uses {
  const finder = new UsesFinder()
  for (const rule of baseRules(off)) {
    const answer = cedar.policyToJson(rule.text)
    if (answer.type === 'success') finder.add(answer.json)
  }
  for (const { json } of read) finder.add(json)
  return finder.result()
}

function compiled(text: string, { span, text: source, json }: ReadPolicy): CompiledPolicy {
  return {
    id: json.annotations?.['id'] ?? '',
    effect: json.effect,
    title: json.annotations?.['title'] ?? null,
    message: json.annotations?.['message'] ?? null,
    line: positionAt(text, span.start).line,
    text: source,
  }
}

const idOf = ({ json }: ReadPolicy) => json.annotations?.['id'] ?? ''

function offProblems(off: readonly string[]): PolicyProblem[] {
  const known = BASE_RULES.map(({ id }) => id).filter(id => id !== ALWAYS_ON)
  return off
    .filter(name => !known.includes(name))
    .map(name => {
      const message =
        name === ALWAYS_ON ? `${ALWAYS_ON} cannot be switched off.` : `\`off\` names an unknown base rule: ${name}.`
      return problem('', null, null, message, `The base rules that can be switched off are ${known.join(', ')}.`)
    })
}

/** The engine's own view of the whole text: syntax, templates, and whether we split it as the engine does. */
function textProblems(text: string, parts: PolicySetTextToPartsAnswer, spans: Span[]): PolicyProblem[] {
  if (parts.type !== 'success') {
    return parts.errors.map(({ message, help, sourceLocations = [] }) => {
      const [place] = sourceLocations
      const at = place === undefined ? null : indexOfByte(text, place.start)
      return problem(text, null, at, sentence(message), help ?? place?.label ?? null)
    })
  }
  if (parts.policy_templates.length > 0) {
    const at = text.search(/\?(principal|resource)/)
    return [problem(text, null, at, 'Policy templates are not supported.', 'Name the principal and the resource.')]
  }
  if (parts.policies.length === spans.length) return []
  return [
    problem(text, null, null, 'The text cannot be split into its policies.', 'Remove unusual characters from it.'),
  ]
}

function annotationProblems(text: string, policy: ReadPolicy): PolicyProblem[] {
  const { annotations = {} } = policy.json
  const id = annotations['id']
  const { start } = policy.span
  if (id === undefined) return [problem(text, null, start, 'A policy needs an @id.', 'Add @id("name") before it.')]
  const problems: PolicyProblem[] = []
  if (!ID.test(id)) {
    const help =
      'An id has at most 64 lower-case letters, digits, dots, hyphens and underscores, and starts with a letter.'
    problems.push(problem(text, id, start, `The id ${JSON.stringify(id)} is not valid.`, help))
  }
  if (id.startsWith('base.')) {
    problems.push(problem(text, id, start, 'Ids that start with `base.` are for the base rules.', 'Choose another id.'))
  }
  for (const name of Object.keys(annotations)) {
    if (ANNOTATIONS.includes(name)) continue
    const at = start + Math.max(0, policy.text.indexOf(`@${name}`))
    const what = LATER_ANNOTATIONS.includes(name) ? 'is not supported yet' : 'is unknown'
    problems.push(problem(text, id, at, `The annotation @${name} ${what}.`, 'Use @id, @title and @message.'))
  }
  return problems
}

function duplicateProblems(text: string, read: ReadPolicy[]): PolicyProblem[] {
  const seen = new Set<string>()
  return read.flatMap(policy => {
    const id = idOf(policy)
    if (id === '' || !seen.has(id)) {
      seen.add(id)
      return []
    }
    return [
      problem(
        text,
        id,
        policy.span.start,
        `Another policy has the id ${JSON.stringify(id)} too.`,
        'Choose another id.',
      ),
    ]
  })
}

/** Returns warnings about policies that are valid, but probably do not do what their author expects. */
function advice(text: string, read: readonly ReadPolicy[]): PolicyProblem[] {
  const toProblem = (policy: ReadPolicy, { at, message, help }: Advice) =>
    problem(text, idOf(policy), policy.span.start + at, message, help)
  const writes = writesWithoutRead(read).flatMap(index => read[index] ?? [])
  return [
    ...read.flatMap(policy => adviceAbout(policy).map(each => toProblem(policy, each))),
    ...writes.map(policy => toProblem(policy, WRITE_ALONE)),
  ].sort(byPosition)
}

const WRITE_ALONE: Advice = {
  at: 0,
  message: 'This policy permits `write`, but no policy permits `read`.',
  help: 'A request for `write` needs `read` too. Use `action in Action::"act"`, or permit `read` in another policy.',
}

function problem(
  text: string,
  id: string | null,
  at: number | null,
  message: string,
  help: string | null,
): PolicyProblem {
  const position = at === null ? { line: null, column: null } : positionAt(text, at)
  return { id, ...position, message, help }
}

/** The engine reports a mistake once per action that it concerns. */
function distinct(problems: PolicyProblem[]): PolicyProblem[] {
  return [...new Map(problems.map(each => [JSON.stringify(each), each])).values()]
}

const byPosition = (a: PolicyProblem, b: PolicyProblem) =>
  (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)

/** The engine's messages begin with a small letter and end without a full stop. */
function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}${/[.!?]$/.test(message) ? '' : '.'}`
}
