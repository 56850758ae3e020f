import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { collector, type Span, serving, TRACING } from '../../../test/support/serving.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'
const traceparent = `00-${TRACE}-${PARENT}-01`
/** SpanKind, as numbered by the protocol. */
const [INTERNAL, SERVER, CLIENT] = [1, 2, 3]

describe('traces', () => {
  it('reach a collector: one span per request, its work below it, under the trace id of the answer and the log', async () => {
    await using collected = await collector()
    await using server = await serving({
      node: TRACING,
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: collected.url, OTEL_SERVICE_NAME: 'stagedoor-test' },
    })
    const ask = (path: string, body?: object, headers: Record<string, string> = {}) =>
      fetch(`${server.url}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${server.secretKey}`,
          ...(body ? { 'content-type': 'application/json' } : {}),
          ...headers,
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
    const user = await ask('/v1/users', {})
    const { id: user_id } = (await user.json()) as { id: string }
    const created = await ask(
      '/v1/actor_tokens',
      { user_id, actor: { sub: 'a' } },
      { traceparent, tracestate: 'vendor=1' },
    )
    assert.equal(created.headers.get('clerk-trace-id'), TRACE)
    const { token } = (await created.json()) as { token: string }
    const opened = await fetch(`${server.url}/v1/tickets/accept?ticket=${token}`, {
      headers: { traceparent, accept: 'text/html' },
    })
    assert.equal(opened.status, 200)
    const redeemed = await fetch(`${server.url}/v1/client/sign_ins`, {
      method: 'POST',
      body: new URLSearchParams({ strategy: 'ticket', ticket: token }),
    })
    const { response } = (await redeemed.json()) as { response: { created_session_id: string } }
    const mints = `${server.url}/v1/client/sessions/${response.created_session_id}/tokens`
    const headers = { cookie: redeemed.headers.getSetCookie()[0]?.split(';')[0] ?? '' }
    // The first request reads the signing keys too.
    await fetch(mints, { method: 'POST', headers })
    const minted = await fetch(mints, { method: 'POST', headers })
    assert.equal(minted.status, 200)
    const lost = await fetch(`${server.url}/somewhere/${token}`)
    const refused = await ask(`/v1/users/nobody`)
    assert.equal(await server.stopped('SIGTERM'), 0)

    const spans = collected.spans()
    const named = (name: string) => spans.findLast(span => span.name === name) as Span
    const below = (span: Span) => spans.filter(({ parentSpanId }) => parentSpanId === span.spanId)
    assert.equal(collected.resource()['service.name'], 'stagedoor-test')

    const create = named('CreateActorToken')
    assert.deepEqual([create.traceId, create.parentSpanId, create.kind], [TRACE, PARENT, SERVER])
    assert.deepEqual(create.attributes, {
      'http.request.method': 'POST',
      'http.route': '/v1/actor_tokens',
      'http.response.status_code': 200,
    })
    const took = Number(BigInt(create.endTimeUnixNano) - BigInt(create.startTimeUnixNano)) / 1e6
    assert.ok(took > 0 && took < 60_000, `${took} ms`)
    assert.ok(
      Math.abs(Number(create.startTimeUnixNano) / 1e6 - Date.now()) < 120_000,
      'the span has the wall-clock time',
    )
    assert.deepEqual(
      below(create).map(({ name, kind, traceId }) => [name, kind, traceId]),
      [
        ['secretKeys.findUsable', CLIENT, TRACE],
        ['actorTokens.findForDecision', CLIENT, TRACE],
        ['actorTokens.insert', CLIENT, TRACE],
      ],
    )

    // An unauthenticated caller's trace is linked, not continued.
    const page = named('acceptTicket')
    assert.equal(page.traceId, opened.headers.get('clerk-trace-id'))
    assert.notEqual(page.traceId, TRACE)
    assert.equal(page.parentSpanId ?? '', '')
    assert.deepEqual(
      page.links.map(({ traceId, spanId }) => [traceId, spanId]),
      [[TRACE, PARENT]],
    )

    const mint = named('createSessionToken')
    assert.equal(mint.traceId, minted.headers.get('clerk-trace-id'))
    assert.equal(mint.attributes['http.route'], '/v1/client/sessions/{session_id}/tokens')
    assert.deepEqual(
      below(mint).map(({ name, kind }) => [name, kind]),
      [
        ['sessions.findForMint', CLIENT],
        ['sign EdDSA', INTERNAL],
      ],
    )

    const nothing = named('none')
    assert.equal(nothing.traceId, lost.headers.get('clerk-trace-id'))
    assert.deepEqual(nothing.attributes, {
      'http.request.method': 'GET',
      'http.response.status_code': 404,
      'stagedoor.error_code': 'resource_not_found',
    })
    const wrong = named('GetUser')
    assert.equal(wrong.traceId, refused.headers.get('clerk-trace-id'))
    assert.equal(wrong.attributes['stagedoor.error_code'], 'resource_not_found')
    assert.equal(wrong.status.code ?? 0, 0, 'a refused request is not marked as a server error')

    const lines = server
      .output()
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    const line = lines.findLast(({ operation }) => operation === 'createSessionToken')
    assert.equal(line.trace_id, mint.traceId)
    // Only requests have spans without a parent: background work has no span.
    for (const span of spans) if (!span.parentSpanId) assert.equal(span.kind, SERVER, span.name)
  })

  it('a server works without a reachable collector', async () => {
    // No process listens on port 9 of this machine.
    await using server = await serving({
      node: TRACING,
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_EXPORTER_OTLP_TIMEOUT: '500' },
    })
    assert.equal((await fetch(`${server.url}/readyz`)).status, 200)
    assert.equal(await server.stopped('SIGTERM'), 0)
  })
})
