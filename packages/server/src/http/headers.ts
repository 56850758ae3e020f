import type { IncomingMessage } from 'node:http'

/** Reads one header of a request, by its lower-case name. */
export type HeaderReader = (name: string) => string | undefined

/** Creates a reader of a request's headers. It reads Node's parsed headers if possible, because building the Fetch headers costs time. */
export function headerReader(request: Request, incoming: IncomingMessage | undefined): HeaderReader {
  if (!incoming) return name => request.headers.get(name) ?? undefined
  const { headers } = incoming
  return name => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
}
