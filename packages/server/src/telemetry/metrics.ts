/** `telemetry/` shows operators what the server does: its log, its metrics and its traces. */

import { createServer } from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { errors } from '../contract/errors.ts'
import type { AuditRecord } from '../domain/records.ts'
import type { Purged, Store } from '../domain/store.ts'

/** Histogram buckets, in seconds: from a single mint to a request whose client has long since timed out. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Verbs of audit events, and the change that each of them stands for. */
const ACTOR_TOKEN_CHANGES: Record<string, string> = { create: 'created', accept: 'redeemed', revoke: 'revoked' }
const SESSION_ENDS: Record<string, string> = {
  end: 'ended',
  remove: 'removed',
  revoke: 'revoked',
  expire: 'expired',
  abandon: 'abandoned',
}
const TICKETS = ['actor_token', 'sign_in_token']
export type TokenKind = 'session' | 'template' | 'handshake'

/** The kinds of rows that are purged. */
const PURGED: readonly (keyof Purged)[] = [
  'sessions',
  'actor_tokens',
  'clients',
  'cutoffs',
  'operator_sessions',
  'operator_links',
  'operator_sign_ins',
]

/**
 * The metrics for Prometheus. Each label has a fixed list of values, apart from the names of the rules of your policy: no
 * path, no id, no address.
 * docs/reference/metrics.md is generated from this file.
 */
export class Metrics {
  readonly registry = new Registry()
  readonly #registers = [this.registry]
  #requestsInFlight = 0
  #storeCallsInFlight = 0

  readonly #requests = new Histogram({
    name: 'stagedoor_http_request_duration_seconds',
    help: 'Requests and the time until the response was ready, by operation (`none`: no such operation), method and class of status.',
    labelNames: ['operation', 'method', 'status'] as const,
    buckets: SECONDS,
    registers: this.#registers,
  })
  readonly #refusals = new Counter({
    name: 'stagedoor_refusals_total',
    help: 'Requests answered with an error, by error code (docs/reference/errors.md).',
    labelNames: ['code'] as const,
    registers: this.#registers,
  })
  readonly #actorTokens = new Counter({
    name: 'stagedoor_actor_tokens_total',
    help: 'Actor tokens and sign-in tokens that were created, redeemed or revoked, by kind.',
    labelNames: ['kind', 'change'] as const,
    registers: this.#registers,
  })
  readonly #sessionsBegun = new Counter({
    name: 'stagedoor_sessions_begun_total',
    help: 'Sessions started, by what started them: actor_token, sign_in_token, or the Backend API (`api`, in development only).',
    labelNames: ['by'] as const,
    registers: this.#registers,
  })
  readonly #sessionsEnded = new Counter({
    name: 'stagedoor_sessions_ended_total',
    help: 'Sessions that ended, by the way they ended: ended or removed by the browser, revoked, expired, abandoned.',
    labelNames: ['how'] as const,
    registers: this.#registers,
  })
  readonly #tokens = new Counter({
    name: 'stagedoor_tokens_signed_total',
    help: 'Tokens signed, by kind: session, template, handshake.',
    labelNames: ['kind'] as const,
    registers: this.#registers,
  })
  readonly #auditEvents = new Counter({
    name: 'stagedoor_audit_events_total',
    help: 'Audit events written, by action and outcome (done, refused).',
    labelNames: ['action', 'outcome'] as const,
    registers: this.#registers,
  })

  readonly #decisions = new Counter({
    name: 'stagedoor_policy_decisions_total',
    help: 'Decisions of the policy that the audit log has, by outcome (allowed, refused, or ended: a session that was no longer allowed) and by each rule that decided (`none`: no rule permits it).',
    labelNames: ['outcome', 'rule'] as const,
    registers: this.#registers,
  })
  readonly #reevaluations = new Histogram({
    name: 'stagedoor_policy_reevaluation_duration_seconds',
    help: 'Time to decide again about all sessions that were due after a change, in runs that found any.',
    buckets: SECONDS,
    registers: this.#registers,
  })
  readonly #purged = new Counter({
    name: 'stagedoor_purged_total',
    help: 'Rows deleted after their retention period (STAGEDOOR_RETENTION_DAYS), by kind: sessions, actor_tokens (sign-in tokens included), clients, cutoffs (of bulk revocations), operator_sessions, operator_links and operator_sign_ins (of the console).',
    labelNames: ['what'] as const,
    registers: this.#registers,
  })

  /** @param store its load is read at each scrape, and the audit events that it commits are counted */
  constructor(version: string, store?: Pick<Store, 'load' | 'onCommitted'>) {
    collectDefaultMetrics({ register: this.registry })
    this.#gauge('stagedoor_http_requests_in_flight', 'Requests in flight.', () => this.#requestsInFlight)
    this.#gauge(
      'stagedoor_store_calls_in_flight',
      'Database calls in flight. With SQLite these are mostly writes that wait for their commit, because reads finish within one turn of the event loop.',
      () => this.#storeCallsInFlight,
    )
    const load = new Gauge({
      name: 'stagedoor_store_load',
      help: 'Load of the database: writes or calls that are `waiting`; on PostgreSQL also open `connections` and those that are `idle`.',
      labelNames: ['of'] as const,
      registers: this.#registers,
      collect: () => {
        for (const [of, value] of Object.entries(store?.load() ?? {})) load.set({ of }, value)
      },
    })
    new Gauge({
      name: 'stagedoor_build_info',
      help: 'Always 1. The labels are the versions of Stagedoor and Node.',
      labelNames: ['version', 'node'] as const,
      registers: this.#registers,
    }).set({ version, node: process.versions.node }, 1)
    this.#createSeries()
    store?.onCommitted(events => {
      for (const event of events) this.#countEvent(event)
    })
  }

  /** Shows how far the audit log is behind. @param read what this server saw last */
  watchAuditLog(read: () => { unsequenced: number; checkpoint_age: number; tampered: string | undefined }): void {
    this.#gauge(
      'stagedoor_audit_unsequenced',
      'Audit events that have no position in the log yet, as this server saw them last.',
      () => read().unsequenced,
    )
    this.#gauge(
      'stagedoor_audit_checkpoint_age_seconds',
      'For how long audit events may have been without a sufficient checkpoint. Below 2 on a server that works, also without requests.',
      () => read().checkpoint_age / 1_000,
    )
    this.#gauge(
      'stagedoor_audit_tampered',
      '1 if the audit log is not what was hashed or signed: nothing is signed any more. The log of the server has the reason.',
      () => (read().tampered === undefined ? 0 : 1),
    )
  }

  #gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: this.#registers,
      collect() {
        this.set(value())
      },
    })
  }

  /** Creates each series with 0, so that Prometheus sees its first increase. */
  #createSeries(): void {
    for (const code of Object.keys(errors)) this.#refusals.inc({ code }, 0)
    for (const kind of TICKETS) {
      for (const change of Object.values(ACTOR_TOKEN_CHANGES)) this.#actorTokens.inc({ kind, change }, 0)
    }
    for (const by of [...TICKETS, 'api']) this.#sessionsBegun.inc({ by }, 0)
    for (const how of Object.values(SESSION_ENDS)) this.#sessionsEnded.inc({ how }, 0)
    for (const kind of ['session', 'template', 'handshake']) this.#tokens.inc({ kind }, 0)
    for (const what of PURGED) this.#purged.inc({ what }, 0)
  }

  requestStarted(): void {
    this.#requestsInFlight++
  }

  requestFinished(request: {
    operation: string
    method: string
    status: number
    seconds: number
    code: string | undefined
  }): void {
    const { operation, method, status, seconds, code } = request
    this.#requestsInFlight--
    this.#requests.observe({ operation, method, status: `${Math.floor(status / 100)}xx` }, seconds)
    if (code !== undefined) this.refused(code)
  }

  /** Counts a request that was rejected before any work was done for it. */
  refused(code: string): void {
    this.#refusals.inc({ code })
  }

  storeCallStarted(): void {
    this.#storeCallsInFlight++
  }

  storeCallFinished(): void {
    this.#storeCallsInFlight--
  }

  tokenSigned(kind: TokenKind): void {
    this.#tokens.inc({ kind })
  }

  reevaluated(seconds: number): void {
    this.#reevaluations.observe(seconds)
  }

  purged(rows: Purged): void {
    for (const [what, count] of Object.entries(rows)) this.#purged.inc({ what }, count)
  }

  /** Counts an audit event that was committed, and the change that it records. */
  #countEvent({ action, outcome, event }: AuditRecord): void {
    this.#auditEvents.inc({ action, outcome })
    const policy = DECIDED.includes(action) ? policyOf(event) : undefined
    const decided = outcome === 'refused' ? 'refused' : action === 'session.revoke' ? 'ended' : 'allowed'
    for (const rule of policy ?? []) this.#decisions.inc({ outcome: decided, rule })
    if (outcome !== 'done') return
    const [noun = '', verb = ''] = action.split('.')
    if (TICKETS.includes(noun)) {
      const change = ACTOR_TOKEN_CHANGES[verb]
      if (change) this.#actorTokens.inc({ kind: noun, change })
      if (verb === 'accept') this.#sessionsBegun.inc({ by: noun })
    } else if (noun === 'session') {
      const how = SESSION_ENDS[verb]
      if (how) this.#sessionsEnded.inc({ how })
      if (verb === 'create') this.#sessionsBegun.inc({ by: 'api' })
    }
  }

  listen(port: number, host: string): Promise<MetricsServer> {
    return serveMetrics(() => this.registry.metrics(), port, host)
  }
}

/** Actions whose events can have a decision. */
const DECIDED = ['actor_token.create', 'actor_token.accept', 'session.revoke']

/** Returns the rules that decided what an event records; undefined if no policy did. */
function policyOf(event: string): string[] | undefined {
  const { details } = JSON.parse(event) as { details?: { policy?: { determined_by: string[] } } | null }
  const rules = details?.policy?.determined_by
  return rules?.length === 0 ? ['none'] : rules
}

export interface MetricsServer {
  port: number
  close(): void
}

/** Serves `GET /metrics` at a separate address: metrics are for operators, not for API clients. */
async function serveMetrics(read: () => Promise<string>, port: number, host: string): Promise<MetricsServer> {
  const server = createServer(async (request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    const text = await read().catch(() => undefined)
    if (text === undefined) response.writeHead(500).end()
    else response.writeHead(200, { 'content-type': Registry.PROMETHEUS_CONTENT_TYPE }).end(text)
  })
  server.requestTimeout = 10_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve)
  })
  return {
    port: (server.address() as { port: number }).port,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
