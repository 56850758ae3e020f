/** Parts of a request that can override its method. */
export interface MethodSources {
  /** The method of the request, and its original method if a middleware has changed it. */
  actual: readonly (string | undefined)[]
  header: (name: string) => string | readonly string[] | null | undefined
  urls: readonly string[]
  /** The body, if it is already parsed. */
  body?: unknown
}

/** Headers from which frameworks and middlewares read a method override. */
const OVERRIDE_HEADERS = ['x-http-method-override', 'x-http-method', 'x-method-override']
/** The same in a query and in a form. Parsers convert `_method[]` to lists. */
const OVERRIDE_FIELD = /^_method(?:\[.*)?$/is

/**
 * Returns all methods as which a request may be handled. A middleware may override the method before or after a guard, so
 * a guard must allow both the original method and the override.
 */
export function methodsOf({ actual, header, urls, body }: MethodSources): string[] {
  const overridden = [...OVERRIDE_HEADERS.map(header), ...urls.flatMap(queryMethods), ...bodyMethods(body)].flat()
  const named = overridden.flatMap(text => (typeof text === 'string' ? text.split(',') : []))
  const methods = new Set([...actual, ...named].map(method => method?.trim().toUpperCase() ?? ''))
  // Ignore an empty override. A request without a method still has to pass the guards.
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
