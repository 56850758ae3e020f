import { camelOf } from './camel.ts'
import { StagedoorError } from './errors.ts'
import { eventsOf } from './event-stream.ts'
import type { Http } from './http.ts'

/** A stream of events to follow. */
export interface Stream {
  path: string
  query?: Record<string, unknown>
  headers?: Record<string, string>
  signal?: AbortSignal | undefined
  /** What the stream reports, for error messages. */
  of: string
  /** What to do after an interruption. */
  action: string
}

/** Yields the events of a stream, in camelCase, until the server ends it. @throws StagedoorError */
export async function* followStream<T>(
  http: Http,
  { path, query = {}, headers = {}, signal, of, action }: Stream,
): AsyncGenerator<T, void, undefined> {
  const body = await http.stream(path, query, headers, signal)
  try {
    for await (const { event, id, data } of eventsOf(body)) yield { event, id, data: camelOf(JSON.parse(data)) } as T
  } catch (cause) {
    const [code, message] = signal?.aborted
      ? (['aborted', `The stream of ${of} was aborted by its \`signal\``] as const)
      : (['connection_failed', `The connection of the stream of ${of} was lost`] as const)
    throw new StagedoorError(0, [{ code, message, action, paramName: undefined }], { cause })
  }
}
