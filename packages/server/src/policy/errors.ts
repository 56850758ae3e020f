import type { PolicyUnavailable } from '../domain/policy-engine.ts'

/** The engine cannot answer: it could not be loaded, it broke twice, or the version is not loaded. */
export class PolicyUnavailableError extends Error implements PolicyUnavailable {
  override name = 'PolicyUnavailableError'
  readonly code = 'policy_unavailable'
}

/** These facts cannot be passed to the engine, so the request is refused. */
export class FactsError extends Error {
  override name = 'FactsError'
}
