import type { IncomingMessage } from 'node:http'

/** Reads one header of a request, by its lower-case name. */
export type HeaderReader = (name: string) => string | undefined

/** Node has parsed the headers already; the Fetch ones would be made from them anew, for every request. */
export function headerReader(request: Request, incoming: IncomingMessage | undefined): HeaderReader {
  if (!incoming) return name => request.headers.get(name) ?? undefined
  const { headers } = incoming
  return name => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
}
