import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { TOKEN } from './text-limits.ts'

/** Finds policies that are valid, but probably do not do what their author expects. */

/** A policy as its author wrote it, and its syntax tree. */
export interface WrittenPolicy {
  text: string
  json: PolicyJson
}

export interface Advice {
  /** Index in the policy's text. */
  at: number
  message: string
  help: string | null
}

/** Actions and facts of features that do not exist yet. */
const LATER_ACTIONS = ['approve', 'review']
const LATER_FACTS: Readonly<Record<string, string>> = {
  approvals: '0',
  approver_teams: 'empty',
  consent: 'false',
  break_glass: 'false',
  open_reviews: '0',
}

/**
 * The members of each type of the schema. A text names the type of a member that has members itself.
 * policy-advice.test.ts compares this with the schema.
 */
export const MEMBERS: Readonly<Record<string, Readonly<Record<string, string | null>>>> = {
  User: { protected: null, operator: null, blocked: null, level: null, external_id: null },
  Operator: { registered: null, blocked: null, level: null, organizations: null, user: 'User' },
  Agent: { registered: null, blocked: null, level: null, organizations: null, owner: 'Operator' },
  Acting: {
    environment: null,
    key: null,
    reason: 'Acting.reason',
    duration: null,
    scopes: null,
    approvals: null,
    approver_teams: null,
    consent: null,
    break_glass: null,
    open_reviews: null,
    depth: null,
    auth: 'Acting.auth',
    ip: null,
    now: null,
    time: 'Acting.time',
  },
  'Acting.reason': { category: null, ticket: null },
  'Acting.auth': { age: null, amr: null },
  'Acting.time': { weekday: null, minute: null },
}

/** Facts that are not members, but groups: how a policy asks for them. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  User: { tags: 'resource in Tag::"…"', organizations: 'resource in Organization::"…"' },
  Operator: { teams: 'principal in Team::"…"' },
  Agent: { teams: 'principal in Team::"…"' },
}

type Tree = { [operator: string]: Tree } | Tree[] | string | number | boolean | null

/**
 * Returns advice about one policy.
 *
 *     adviceAbout({ text, json })   // [{ at: 52, message: '`principal` never has `teem`, …', help: 'Did you mean …?' }]
 */
export function adviceAbout(policy: WrittenPolicy): Advice[] {
  return [...laterActions(policy), ...laterFacts(policy), ...unknownNames(policy)].sort((a, b) => a.at - b.at)
}

/**
 * Returns advice about policies together: the indexes of those that permit `write`, if none permits `read`, which a request
 * for `write` needs too.
 */
export function writesWithoutRead(policies: readonly WrittenPolicy[]): number[] {
  const permits = policies.map(({ json }) => (json.effect === 'permit' ? permittedAccess(json) : new Set<string>()))
  if (permits.some(access => access.has('read'))) return []
  return permits.flatMap((access, index) => (access.has('write') ? [index] : []))
}

function laterActions({ json }: WrittenPolicy): Advice[] {
  const named = JSON.stringify([json.action, json.conditions])
  return LATER_ACTIONS.filter(action => named.includes(`{"type":"Action","id":"${action}"}`)).map(action => ({
    at: 0,
    message: `Stagedoor does not use the action \`${action}\` yet, so this has no effect.`,
    help: null,
  }))
}

function laterFacts({ text, json }: WrittenPolicy): Advice[] {
  const used = new Set<string>()
  walk(json, tree => {
    const { '.': member, has } = tree as { '.'?: { attr?: unknown }; has?: { attr?: unknown } }
    for (const name of [member?.attr, has?.attr].flat()) if (typeof name === 'string') used.add(name)
  })
  const tokens = tokensOf(text)
  return Object.keys(LATER_FACTS)
    .filter(name => used.has(name))
    .map(name => ({
      at: tokens.find((token, n) => nameOf(token) === name && isMember(tokens, n))?.index ?? 0,
      message: `Nothing provides \`context.${name}\` yet: it is always ${LATER_FACTS[name]}.`,
      help: null,
    }))
}

/** Finds `has` of names that the schema does not know. The engine accepts them: the condition is false. */
function unknownNames({ text, json }: WrittenPolicy): Advice[] {
  const places = placesOfHas(text)
  /** By their messages: the first place is enough. */
  const found = new Map<string, Advice>()
  let n = 0
  walk(json, tree => {
    const { has } = tree as { has?: { left: Tree; attr: string | string[] } }
    if (has === undefined) return
    const place = places[n++]
    let types = typesOf(has.left, json)
    const names = [has.attr].flat()
    for (const [depth, name] of names.entries()) {
      if (types.length === 0) return
      if (!types.some(type => isMemberOf(type, name))) {
        const whole = [pathOf(has.left), ...names.slice(0, depth)].join('.')
        const message = `${whole === '' ? 'This' : `\`${whole}\``} never has \`${name}\`, so this condition is always false.`
        if (!found.has(message)) {
          const at = indexOfName(places, place?.names[depth], name)
          found.set(message, { at, message, help: helpFor(name, types) })
        }
        return
      }
      types = types.flatMap(type => (isMemberOf(type, name) ? [MEMBERS[type]?.[name] ?? []].flat() : []))
    }
  })
  return [...found.values()]
}

/** The n-th `has` of a text can be another one than in its syntax tree, where members of records are in the order of their names. */
function indexOfName(places: readonly PlaceOfHas[], likely: NameInText | undefined, name: string): number {
  if (likely?.name === name) return likely.index
  return places.flatMap(({ names }) => names).find(each => each.name === name)?.index ?? 0
}

const isMemberOf = (type: string, name: string) => Object.hasOwn(MEMBERS[type] ?? {}, name)

function helpFor(name: string, types: readonly string[]): string {
  const suggestions = new Map<string, string>()
  for (const type of types) {
    for (const known of Object.keys(MEMBERS[type] ?? {})) suggestions.set(known, known)
    for (const [group, test] of Object.entries(GROUPS[type] ?? {})) suggestions.set(group, test)
  }
  const [best] = [...suggestions.keys()]
    // A much longer name is not a slip, and comparing it would take long.
    .filter(known => Math.abs(known.length - name.length) <= MAX_DIFFERENCE)
    .map(known => ({ known, distance: distance(name.toLowerCase(), known) }))
    .filter(each => each.distance <= Math.floor(name.length / 3) + 1 && each.distance < name.length)
    .sort((a, b) => a.distance - b.distance)
  if (best) return `Did you mean \`${suggestions.get(best.known)}\`?`
  return `It can have ${[...new Set(types.flatMap(type => Object.keys(MEMBERS[type] ?? {})))].join(', ')}.`
}

/**
 * Returns better help than the engine's for an error about an unknown attribute; undefined for any other error.
 *
 *     helpForError('attribute `teams` on entity type `Agent` not found')   // 'Did you mean `principal in Team::"…"`?'
 */
export function helpForError(message: string): string | undefined {
  const [, name, type] = /^attribute `([^`]+)` (?:in context|on entity type `(\w+)`) not found/.exec(message) ?? []
  if (name === undefined) return undefined
  if (type !== undefined) return helpFor(name, [type])
  if (!isMemberOf('Acting', name)) return helpFor(name, ['Acting'])
  return 'The action `review`, which is for later, has no context. Write `action in Action::"act"` instead of `action`.'
}

/** Maximum difference of the lengths of two names that are compared. */
const MAX_DIFFERENCE = 4

/** Returns the number of letters to insert, delete or replace that turn one text into another. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, n) => n)
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1]
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (letter === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}

/** Returns the types that an expression can have. None if they are not known, or have no members. */
function typesOf(tree: Tree, json: PolicyJson): string[] {
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) return []
  const { Var: variable, Value: value, '.': member, 'if-then-else': choice } = tree as Record<string, Tree | undefined>
  if (variable === 'principal') return principalTypes(json)
  if (variable === 'resource') return ['User']
  if (variable === 'context') return ['Acting']
  if (member !== undefined) {
    const { left, attr } = member as { left: Tree; attr: string }
    return typesOf(left, json).flatMap(type => (isMemberOf(type, attr) ? [MEMBERS[type]?.[attr] ?? []].flat() : []))
  }
  if (choice !== undefined) {
    const { then: one, else: other } = choice as { then: Tree; else: Tree }
    return [...new Set([...typesOf(one, json), ...typesOf(other, json)])]
  }
  const { __entity: entity } = (value ?? {}) as { __entity?: { type: string } }
  return entity !== undefined && Object.hasOwn(MEMBERS, entity.type) ? [entity.type] : []
}

function principalTypes({ principal }: PolicyJson): string[] {
  const { entity_type, entity } = principal as { entity_type?: string; entity?: { type?: string } }
  const [type] = [entity_type, entity?.type].filter(each => each === 'Operator' || each === 'Agent')
  return type === undefined ? ['Operator', 'Agent'] : [type]
}

const ACCESS: Readonly<Record<string, readonly string[]>> = { act: ['read', 'write'], read: ['read'], write: ['write'] }

/** Returns what a permit can permit: by its scope, and by conditions that compare the action. */
function permittedAccess(json: PolicyJson): Set<string> {
  let access = json.action.op === 'All' ? ['read', 'write'] : accessOf(idsIn(json.action as Tree))
  for (const { kind, body } of json.conditions) {
    for (const part of kind === 'when' ? partsOf(body as Tree, '&&') : partsOf(body as Tree, '||')) {
      const named = comparedActions(part)
      if (named) access = access.filter(each => named.includes(each) === (kind === 'when'))
    }
  }
  return new Set(access)
}

/** Returns the operands of a chain of `&&` or `||`. Without recursion: such chains can be long. */
function partsOf(tree: Tree, operator: '&&' | '||'): Tree[] {
  const parts: Tree[] = []
  const rest = [tree]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const operands = (next as Record<string, { left: Tree; right: Tree } | undefined>)[operator]
    if (operands) rest.push(operands.left, operands.right)
    else parts.push(next)
  }
  return parts
}

/** Returns the access that satisfies `action == …` or `action in …`; undefined for any other expression. */
function comparedActions(tree: Tree): string[] | undefined {
  const { '==': equal, in: within } = tree as Record<string, { left: Tree; right: Tree } | undefined>
  const { left, right } = equal ?? within ?? {}
  if (left === undefined || right === undefined) return undefined
  const isAction = (side: Tree) => (side as { Var?: string }).Var === 'action'
  if (isAction(left)) return accessOf(idsIn(right))
  return equal && isAction(right) ? accessOf(idsIn(left)) : undefined
}

const accessOf = (ids: readonly string[]) => [...new Set(ids.flatMap(id => ACCESS[id] ?? []))]

/** Returns the ids of all entities in a tree. */
function idsIn(tree: Tree): string[] {
  const ids: string[] = []
  walk(tree, ({ type, id }) => {
    if (type === 'Action' && typeof id === 'string') ids.push(id)
  })
  return ids
}

/** Calls `visit` with each node of a syntax tree: operands before their operator, in the order of the text. */
function walk(tree: unknown, visit: (node: { [member: string]: unknown }) => void): void {
  if (typeof tree !== 'object' || tree === null) return
  for (const each of Object.values(tree)) walk(each, visit)
  if (!Array.isArray(tree)) visit(tree as { [member: string]: unknown })
}

/** Returns `context.reason` for such a tree; an empty text for anything but a variable and its members. */
function pathOf(tree: Tree): string {
  const { Var: variable, '.': member } = tree as { Var?: string; '.'?: { left: Tree; attr: string } }
  if (variable !== undefined) return variable
  const left = member === undefined ? '' : pathOf(member.left)
  return left === '' ? '' : `${left}.${member?.attr}`
}

interface Token {
  token: string
  index: number
}

function tokensOf(text: string): Token[] {
  return [...text.matchAll(TOKEN)]
    .map(({ 0: token, index }) => ({ token, index }))
    .filter(({ token }) => !token.startsWith('//'))
}

/** Returns the name that a token can be: names can be written as texts. */
function nameOf({ token }: Token): string {
  return token.startsWith('"') ? token.slice(1, -1) : token
}

/** Whether a token is the name of a member: after a dot, `has` or a bracket. */
function isMember(tokens: readonly Token[], n: number): boolean {
  const before = tokens[n - 1]?.token ?? ''
  if (before === '.' || before === 'has') return true
  // A bracket after a value has a name in it, any other bracket begins a set.
  return before === '[' && /^(\w+|[)\]])$/.test(tokens[n - 2]?.token ?? '')
}

interface NameInText {
  name: string
  index: number
}

/** A `has`, with its names: several in `context has reason.ticket`. */
interface PlaceOfHas {
  names: NameInText[]
}

/** Returns where each `has` of a text has its names. */
function placesOfHas(text: string): PlaceOfHas[] {
  const tokens = tokensOf(text)
  return tokens.flatMap(({ token }, n) => {
    if (token !== 'has' || tokens[n - 1]?.token === '.') return []
    const names: NameInText[] = []
    for (let at = n + 1; tokens[at] !== undefined; at += 2) {
      const name = tokens[at] as Token
      names.push({ name: nameOf(name), index: name.index })
      if (tokens[at + 1]?.token !== '.') break
    }
    return [{ names }]
  })
}
