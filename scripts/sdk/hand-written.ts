/** Reads the functions of `packages/sdk/src/resources/hand-written`, which become methods of the generated classes. */

/** An exported function whose first parameter is the `Http` of the class. */
export interface HandWritten {
  name: string
  /** Its docstring, without indentation. */
  doc: string
  /** Parameters after the first. */
  parameters: string[]
  returns: string
  /** Only a signature: the implementation follows. */
  isOverload: boolean
}

/** Returns the exported functions of a file, in their order. */
export function handWrittenMethods(source: string): HandWritten[] {
  return [...source.matchAll(/^export (?:async )?function (\w+)\(/gm)].map(match => {
    const [head, name = ''] = match
    const start = match.index + head.length
    const end = closing(source, start)
    const [, returns = '', brace] = /^: (.+?)( \{)?\n/.exec(source.slice(end + 1)) ?? []
    const [, ...parameters] = parametersOf(source.slice(start, end))
    const [doc = ''] = /\/\*\*\n(?: \*.*\n)+$/.exec(source.slice(0, match.index)) ?? []
    return { name, doc, parameters, returns, isOverload: brace === undefined }
  })
}

/** Returns the module of each imported name, as a file in the parent folder writes it. */
export function importsOf(source: string): Map<string, string> {
  return new Map(
    [...source.matchAll(/^import (?:type )?\{([^}]+)\} from '..\/([^']+)'/gm)].flatMap(([, names = '', module = '']) =>
      names.split(',').map((name): [string, string] => [name.trim().replace('type ', ''), module]),
    ),
  )
}

/** Returns the position of the bracket that closes the parameters. */
function closing(text: string, start: number): number {
  let depth = 1
  for (let at = start; at < text.length; at++) {
    if ('([{'.includes(text[at] as string)) depth++
    if (')]}'.includes(text[at] as string)) depth--
    if (depth === 0) return at
  }
  throw new Error(`Unclosed bracket: ${text.slice(start, start + 80)}`)
}

/** Splits parameters at the commas that are not inside brackets. */
function parametersOf(text: string): string[] {
  let depth = 0
  let parameter = ''
  const all: string[] = []
  for (const letter of text) {
    if ('([{<'.includes(letter)) depth++
    if (')]}>'.includes(letter)) depth--
    if (letter === ',' && depth === 0) {
      all.push(parameter)
      parameter = ''
    } else {
      parameter += letter
    }
  }
  return [...all, parameter].map(each => each.trim()).filter(each => each !== '')
}
