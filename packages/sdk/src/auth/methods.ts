/** What says that a request is to be handled as another method than it came with. */
export interface MethodSources {
  /** The method of the request; and its original one, if a middleware has changed it. */
  actual: readonly (string | undefined)[]
  header: (name: string) => string | readonly string[] | null | undefined
  urls: readonly string[]
  /** The body, if it is parsed already. */
  body?: unknown
}

/** Headers that frameworks and middlewares read another method from. */
const OVERRIDE_HEADERS = ['x-http-method-override', 'x-http-method', 'x-method-override']
/** The same in a query and in a form; parsers make lists of `_method[]`. */
const OVERRIDE_FIELD = /^_method(?:\[.*)?$/is

/**
 * All methods that a request may be handled as. Something that overrides the method may run before a guard or after it,
 * so a guard must allow both the method that came and the one that is asked for.
 */
export function methodsOf({ actual, header, urls, body }: MethodSources): string[] {
  const overridden = [...OVERRIDE_HEADERS.map(header), ...urls.flatMap(queryMethods), ...bodyMethods(body)].flat()
  const named = overridden.flatMap(text => (typeof text === 'string' ? text.split(',') : []))
  const methods = new Set([...actual, ...named].map(method => method?.trim().toUpperCase() ?? ''))
  // An empty override is none. A request without a method is not without rules.
  if (methods.size > 1) methods.delete('')
  return [...methods]
}

function queryMethods(url: string): string[] {
  const start = url.indexOf('?')
  return start === -1 ? [] : formMethods(new URLSearchParams(url.slice(start).replace(/#.*$/s, '')))
}

function bodyMethods(body: unknown): unknown[] {
  if (typeof body !== 'object' || body === null) return []
  if (body instanceof URLSearchParams || body instanceof FormData) return formMethods(body)
  return Object.entries(body)
    .filter(([name]) => OVERRIDE_FIELD.test(name))
    .flatMap(([, value]) => (typeof value === 'object' && value !== null ? Object.values(value) : [value]))
}

function formMethods(form: URLSearchParams | FormData): string[] {
  return [...form].flatMap(([name, value]) => (OVERRIDE_FIELD.test(name) && typeof value === 'string' ? [value] : []))
}
