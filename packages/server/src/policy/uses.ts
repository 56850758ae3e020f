import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { PolicyConstants, TimeUse } from '../domain/policy-engine.ts'

/** What policies use, read from their syntax trees: it says when to decide again, and what could turn a refusal into an allow. */

/** What a set of policies uses. Plain data: threads pass it to each other. */
export interface Uses {
  time: TimeUse
  /** True if `now` is used in other ways than in comparisons with constants. It is then passed without its seconds. */
  whole_minutes: boolean
  ip: boolean
  /** True if a policy can treat `read` and `write` differently. */
  access: boolean
  constants: PolicyConstants
  /** True if a policy reads an external id, however its text spells that name. */
  external_id: boolean
  /** Entities that policies name, such as `Team::"support"`. */
  entities: { type: string; id: string }[]
}

type Tree = { [operator: string]: Tree } | Tree[] | string | number | boolean | null

const COMPARISONS = new Set(['==', '!=', '<', '<=', '>', '>='])
/** The same comparison with its sides exchanged. */
const MIRRORED: Record<string, string> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=' }
const CONTAINS = new Set(['contains', 'containsAll', 'containsAny'])

/** Finds what policies use. */
export class UsesFinder {
  readonly #minutes = new Set<number>()
  readonly #instants = new Set<number>()
  readonly #categories = new Set<string>()
  readonly #durations = new Set<number>()
  readonly #amr = new Set<string>()
  readonly #entities = new Map<string, { type: string; id: string }>()
  #weekday = false
  #everyMinute = false
  #wholeMinutes = false
  #ip = false
  #access = false
  #auth = false
  #comparesTicket = false
  #externalId = false

  /** Adds a policy, as `policyToJson` returns it. */
  add(policy: PolicyJson): void {
    if (JSON.stringify(policy).includes('"external_id"')) this.#externalId = true
    if (!isEveryAction(policy.action as unknown as Tree)) this.#access = true
    for (const scope of [policy.principal, policy.resource]) this.#visitEntities(scope as unknown as Tree)
    for (const { body } of policy.conditions) this.#visit(body as unknown as Tree)
  }

  /** Returns what all added policies use. */
  result(): Uses {
    const ascending = (values: Set<number>) => [...values].sort((a, b) => a - b)
    return {
      time: {
        minutes: ascending(this.#minutes),
        weekday: this.#weekday,
        instants: ascending(this.#instants),
        every_minute: this.#everyMinute,
      },
      whole_minutes: this.#wholeMinutes,
      ip: this.#ip,
      access: this.#access,
      constants: {
        categories: [...this.#categories].sort(),
        compares_ticket: this.#comparesTicket,
        durations: ascending(this.#durations).reverse(),
        uses_auth: this.#auth,
        amr: [...this.#amr].sort(),
      },
      external_id: this.#externalId,
      entities: [...this.#entities.values()],
    }
  }

  #visit(tree: Tree): void {
    if (Array.isArray(tree)) {
      for (const each of tree) this.#visit(each)
      return
    }
    if (typeof tree !== 'object' || tree === null) return
    const path = pathOf(tree)
    if (path !== undefined) {
      this.#use(path)
      return
    }
    for (const [operator, operands] of Object.entries(tree)) {
      if (operator === 'Value') this.#visitEntities(operands)
      else if (operator === 'Record') Object.values(operands as object).forEach(each => void this.#visit(each))
      else if (operator === 'has') this.#visitHas(operands as { left: Tree; attr: Tree })
      else if (!this.#visitComparison(operator, operands))
        Object.values(operands ?? {}).forEach(each => void this.#visit(each))
    }
  }

  /** A value is used as a whole: not in a comparison with constants. */
  #use(path: string): void {
    const touches = (part: string) => part.startsWith(path) || path.startsWith(part)
    if (path === 'action') this.#access = true
    if (path === 'context.time.weekday') this.#weekday = true
    else if (touches('context.time')) this.#everyMinute = true
    if (touches('context.now')) {
      this.#everyMinute = true
      this.#wholeMinutes = true
    }
    if (touches('context.ip')) this.#ip = true
    if (touches('context.auth')) this.#auth = true
    if (touches('context.reason.ticket')) this.#comparesTicket = true
  }

  /** Whether a fact is there: only of the login, which can be absent, does it matter. */
  #visitHas({ left, attr }: { left: Tree; attr: Tree }): void {
    const path = pathOf(left)
    const names = [attr].flat().map(String)
    if (path === undefined) this.#visit(left)
    else if (path === 'context' && names[0] === 'auth') this.#auth = true
    else if (path === 'context' && names[0] === 'ip') this.#ip = true
    else if (path !== 'context' && path !== 'context.reason') this.#use(path)
  }

  /** @returns false if this is no comparison of a fact with constants */
  #visitComparison(operator: string, operands: Tree): boolean {
    if (typeof operands !== 'object' || operands === null || Array.isArray(operands)) return false
    const { left = null, right = null } = operands
    if (COMPARISONS.has(operator)) {
      const [a, b] = [pathOf(left), pathOf(right)]
      const constant = constantOf(a === undefined ? left : right)
      if (constant === undefined) return false
      if (a !== undefined) return this.#compare(a, operator, [constant])
      if (b !== undefined) return this.#compare(b, MIRRORED[operator] ?? operator, [constant])
    }
    if (!CONTAINS.has(operator)) return false
    const [list, path] = pathOf(left) === undefined ? [left, pathOf(right)] : [right, pathOf(left)]
    const constants = constantsOf(list)
    return path !== undefined && constants !== undefined && this.#compare(path, '==', constants)
  }

  /** @returns false if comparisons of this fact mean nothing here */
  #compare(path: string, operator: string, constants: (number | string)[]): boolean {
    for (const constant of constants) {
      if (path === 'context.reason.category') this.#categories.add(String(constant))
      else if (path === 'context.auth.amr') {
        this.#auth = true
        this.#amr.add(String(constant))
      } else if (typeof constant !== 'number') return false
      else if (path === 'context.time.minute') addChanges(this.#minutes, operator, constant)
      else if (path === 'context.now') addChanges(this.#instants, operator, constant)
      else if (path === 'context.duration') addSatisfying(this.#durations, operator, constant)
      else return false
    }
    return true
  }

  #visitEntities(tree: Tree): void {
    if (typeof tree !== 'object' || tree === null) return
    const { type, id } = tree as { type?: Tree; id?: Tree }
    if (typeof type === 'string' && typeof id === 'string') this.#entities.set(`${type} ${id}`, { type, id })
    for (const each of Object.values(tree)) this.#visitEntities(each)
  }
}

/** True for a policy whose scope has all actions of the group `act`. */
function isEveryAction(action: Tree): boolean {
  const { op, entity } = action as { op: string; entity?: { id?: string } }
  return op === 'All' || (op === 'in' && entity?.id === 'act')
}

/** Returns `context.time.minute` for such a tree; undefined for anything but a variable and its members. */
function pathOf(tree: Tree): string | undefined {
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) return undefined
  const { Var: variable, '.': member } = tree
  if (typeof variable === 'string') return variable
  if (typeof member !== 'object' || member === null || Array.isArray(member)) return undefined
  const left = pathOf(member['left'] ?? null)
  return left === undefined ? undefined : `${left}.${String(member['attr'])}`
}

/** Returns the value of a constant: of a number, a text, a time in Unix ms, or arithmetic with numbers. */
function constantOf(tree: Tree): number | string | undefined {
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) return undefined
  const value = tree['Value']
  if (typeof value === 'number' || typeof value === 'string') return value
  const moment = tree['datetime']
  if (Array.isArray(moment)) return instantOf(constantOf(moment[0] ?? null))
  for (const operator of ['+', '-', '*'] as const) {
    const operands = tree[operator] as { left: Tree; right: Tree } | undefined
    if (operands) return arithmetic(operator, constantOf(operands.left), constantOf(operands.right))
  }
  return undefined
}

function arithmetic(operator: '+' | '-' | '*', left: unknown, right: unknown): number | undefined {
  if (typeof left !== 'number' || typeof right !== 'number') return undefined
  const result = operator === '+' ? left + right : operator === '-' ? left - right : left * right
  return Number.isSafeInteger(result) ? result : undefined
}

/** Reads Cedar's forms of a time: a date, or date and time with `Z` or an offset like `+0100`. */
function instantOf(text: unknown): number | undefined {
  if (typeof text !== 'string' || !/^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{3})?(Z|[+-]\d{4}))?$/.test(text))
    return undefined
  const time = Date.parse(text.replace(/([+-]\d\d)(\d\d)$/, '$1:$2'))
  return Number.isNaN(time) ? undefined : time
}

function constantsOf(tree: Tree): (number | string)[] | undefined {
  const set = typeof tree === 'object' && tree !== null && !Array.isArray(tree) ? tree['Set'] : undefined
  const constants = Array.isArray(set) ? set.map(constantOf) : [constantOf(tree)]
  return constants.every(each => each !== undefined) ? constants : undefined
}

/** Adds the values of an ascending fact at which a comparison with a constant changes. */
function addChanges(changes: Set<number>, operator: string, constant: number): void {
  if (operator !== '<=' && operator !== '>') changes.add(constant)
  if (operator !== '<' && operator !== '>=') changes.add(constant + 1)
}

/** Adds a value that just satisfies a comparison, or its opposite: forbids say what must not be. */
function addSatisfying(values: Set<number>, operator: string, constant: number): void {
  for (const value of operator === '<' || operator === '>=' ? [constant - 1] : [constant])
    if (value > 0) values.add(value)
}
