/** One server-sent event. */
export interface ServerSentEvent {
  event: string
  /** Position in the stream. Send it as `Last-Event-ID` to resume there. */
  id: string | undefined
  data: string
}

/** Maximum length of an event, in characters: far more than any event of Stagedoor, so a stream without line breaks is rejected. */
const MAX_EVENT_LENGTH = 1_000_000

/** Yields the events of a stream as they arrive, until the stream ends. @see HTML Living Standard §9.2.6 */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent, void, undefined> {
  const reader = body.getReader()
  const utf8 = new TextDecoder()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      text += utf8.decode(value, { stream: true })
      // A CR at the end may be the first half of a CRLF.
      const events = text.replace(/\r\n|\r(?!$)/g, '\n').split('\n\n')
      text = events.pop() as string
      if (text.length > MAX_EVENT_LENGTH) throw new Error('An event of the stream is too long.')
      yield* events.map(parsed).filter(event => event.data !== '')
    }
  } finally {
    // Close the connection when the caller stops iterating.
    await reader.cancel().catch(() => {})
  }
}

function parsed(lines: string): ServerSentEvent {
  const fields: Record<'event' | 'id' | 'data', string[]> = { event: [], id: [], data: [] }
  for (const line of lines.split('\n')) {
    const [, name = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? []
    if (name === 'event' || name === 'id' || name === 'data') fields[name].push(value)
  }
  return { event: fields.event.at(-1) ?? 'message', id: fields.id.at(-1), data: fields.data.join('\n') }
}
