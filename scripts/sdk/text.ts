/** Writes the texts of the tables as lines of docstrings. */
import type { OpenApiDocument } from '../../packages/server/src/contract/openapi.ts'
import { handWritten } from './index.ts'
import type { Resource, Text } from './resource.ts'
import type { Member, Shape } from './shape.ts'

/** Line length of both languages. */
export const WIDTH = 120

/** Breaks a text into lines. The indent counts, and every line after the first has `further` in addition. */
export function wrap(text: string, indent: string, further = ''): string[] {
  const lines: string[] = []
  let line = indent
  let isEmpty = true
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = `${indent}${further}${word}`
    } else {
      line += isEmpty ? word : ` ${word}`
    }
    isEmpty = false
  }
  return [...lines, line]
}

/** Returns the lines of an example, without the indentation that they have in the table. */
export function linesOf(example: string): string[] {
  const lines = example.replace(/^\n/, '').trimEnd().split('\n')
  const margin = Math.min(
    ...lines.filter(line => line.trim() !== '').map(line => line.length - line.trimStart().length),
  )
  return lines.map(line => line.slice(margin))
}

/** Returns a call, a signature or a list: on one line if it fits, otherwise with one entry per line. */
export function inBrackets(before: string, entries: string[], after: string, indent: string): string[] {
  const line = `${before}${entries.join(', ')}${after}`
  if (line.length <= WIDTH) return [line]
  return [before.trimEnd(), ...entries.map(entry => `${indent}  ${entry},`), `${indent}${after.trimStart()}`]
}

/** Returns the name of a schema as the TypeScript SDK writes it: `JwtTemplate` for `JWTTemplate`. */
export function typeScriptNameOf(schema: string): string {
  return schema.replace(/JWT/g, 'Jwt')
}

export const camelOf = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
export const snakeOf = (name: string) => name.replace(/(?<=[a-z])[A-Z]/g, letter => `_${letter}`).toLowerCase()

/**
 * Returns a text for TypeScript: names in camelCase, and links to other methods of the class.
 * @param members every name in the contract: `membersOf`
 */
export function forTypeScript(text: Text, resource: Resource, members: ReadonlySet<string>): string {
  const methods = methodsOf(resource)
  return (typeof text === 'string' ? text : text.typescript).replace(/`([^`]+)`/g, (span, inner: string) => {
    if (methods.has(inner)) return `{@link ${camelOf(inner)}}`
    if ((members.has(inner) && /^[a-z]/.test(inner)) || /^\w+\.\w+(\(.*\))?$/.test(inner))
      return `\`${camelOf(inner)}\``
    return span
  })
}

/** Returns a text for Python. */
export function forPython(text: Text): string {
  const plain = (typeof text === 'string' ? text : text.python).replace(/\bnull\b/g, 'None')
  return plain.replace(/`(\w+): true`/g, '`$1=True`')
}

/** Returns the text for the members of a body, from the table or from the contract. */
export function requestText({ method, body }: Shape): Text {
  return method.request ?? joined((body?.members ?? []).map(member => aboutMember(member, method.members)))
}

/** Returns the text for the filters of a list, with the parameters of every list. */
export function filtersText({ method, query, answer }: Shape): Text {
  const own = (query?.members ?? []).filter(({ name }) => !PAGING.has(name))
  // Every filter is optional, so the text does not mention it.
  const text = method.filters ?? joined(own.map(member => aboutMember({ ...member, required: true }, method.members)))
  if (answer.kind !== 'list') return text
  const paging = '`limit` 1 to 500 (10); `starting_after` (the `next_cursor` of a page) or `offset` (0)'
  return both(text, each => (each === '' ? paging : `${each}; ${paging}`))
}

/** Returns the text for one member that is a parameter. */
export function memberText({ method }: Shape, name: string): Text {
  return method.members?.[name] ?? (name === 'reason' ? REASON : '')
}

const REASON = 'for the audit log; at most 500 characters'

const PAGING = new Set(['limit', 'offset', 'paginated', 'starting_after', 'total_count'])

function aboutMember(member: Member, texts: Record<string, Text> = {}): Text {
  const { name, required, default: usual } = member
  const said = texts[name]
  if (said !== undefined) return both(said, each => `\`${name}\`: ${each}`)
  if (name === 'reason') return '`reason` for the audit log'
  if (usual !== undefined) return `\`${name}\` (${String(usual)})`
  return `\`${name}\`${required ? '' : ' (optional)'}`
}

function joined(texts: Text[]): Text {
  const of = (language: 'typescript' | 'python') =>
    texts.map(text => (typeof text === 'string' ? text : text[language])).join('; ')
  return { typescript: of('typescript'), python: of('python') }
}

function both(text: Text, change: (text: string) => string): Text {
  if (typeof text === 'string') return change(text)
  return { typescript: change(text.typescript), python: change(text.python) }
}

function methodsOf(resource: Resource): Set<string> {
  const generated = Object.values(resource.methods).map(({ name }) => name)
  return new Set([...generated, ...(handWritten[resource.name]?.methods ?? [])])
}

/** Returns every name of a member or a parameter in the contract. */
export function membersOf(document: OpenApiDocument): Set<string> {
  const names = new Set<string>()
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    const { properties, name } = value as { properties?: object; name?: unknown }
    if (typeof properties === 'object') for (const each of Object.keys(properties)) names.add(each)
    if (typeof name === 'string') names.add(name)
    for (const inner of Object.values(value)) visit(inner)
  }
  visit(document)
  // On further pages of a list.
  return names.add('next_cursor')
}
