import assert from 'node:assert/strict'
import { SECRET_KEY, type TestServer } from '../../../test/support/server.ts'

export interface FeedEvent {
  event: string
  id: string | undefined
  data: Record<string, unknown>
}

/** Follows a stream of events. @param path with its query */
export async function followEvents(server: TestServer, path: string, headers: Record<string, string> = {}) {
  const abort = new AbortController()
  const response = await server.stagedoor.fetch(
    new Request(`http://127.0.0.1:4100${path}`, {
      headers: { authorization: `Bearer ${SECRET_KEY}`, ...headers },
      signal: abort.signal,
    }),
  )
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const events: FeedEvent[] = []
  let wake = () => {}
  let ended = false
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const reading = (async () => {
    const decoder = new TextDecoder()
    let text = ''
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      text += decoder.decode(value, { stream: true })
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
        const event = field('event')
        if (event) events.push({ event, id: field('id'), data: JSON.parse(field('data') ?? '{}') })
      }
      wake()
    }
    ended = true
    wake()
  })()
  return {
    events,
    /** Waits for an event that matches. */
    async until(fits: (event: FeedEvent) => boolean): Promise<FeedEvent> {
      const deadline = Date.now() + 10_000
      for (;;) {
        const found = events.find(fits)
        if (found) return found
        assert.ok(!ended && Date.now() < deadline, `not told: ${JSON.stringify(events)}`)
        await new Promise<void>(resolve => {
          wake = resolve
          setTimeout(resolve, 100)
        })
      }
    },
    async ended() {
      await reading
    },
    async stop() {
      await reader.cancel()
    },
  }
}
