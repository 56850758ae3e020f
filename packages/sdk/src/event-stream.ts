/** One server-sent event. */
export interface ServerSentEvent {
  event: string
  /** The place to go on from, as `Last-Event-ID`. */
  id: string | undefined
  data: string
}

/** Far more than any event of ours; a stream without an end of line is none. */
const MAX_EVENT_LENGTH = 1_000_000

/** The events of a stream, as they come. Ends when the stream does. @see HTML Living Standard §9.2.6 */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent, void, undefined> {
  const reader = body.getReader()
  const utf8 = new TextDecoder()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      text += utf8.decode(value, { stream: true })
      // A CR at the end may be the first half of a line's end.
      const events = text.replace(/\r\n|\r(?!$)/g, '\n').split('\n\n')
      text = events.pop() as string
      if (text.length > MAX_EVENT_LENGTH) throw new Error('An event of the stream is too long.')
      yield* events.map(parsed).filter(event => event.data !== '')
    }
  } finally {
    // Whoever stops listening lets go of the connection too.
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
