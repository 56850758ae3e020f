import { createHash } from 'node:crypto'

/**
 * The port to the engine that decides who may act as whom. The rules are written in Cedar; `policy/` implements the port, and
 * nothing outside of it knows Cedar.
 */

/** What a session may do as the user. `write` includes `read`. */
export type Access = 'read' | 'write'

/** A version of the policy: the text, and the names of the base rules that it switches off. Version 0 is the default policy. */
export interface PolicyDocument {
  version: number
  text: string
  off: readonly string[]
}

/** Returns the SHA-256 of what a policy consists of, in hex: equal digests, equal decisions. */
export function digestOf({ text, off }: Pick<PolicyDocument, 'text' | 'off'>): string {
  return createHash('sha256')
    .update(JSON.stringify([text, [...off].sort()]))
    .digest('hex')
}

/** What a decision is computed from. Plain data, which can be stored as JSON. */
export interface Facts {
  principal: OperatorFacts | AgentFacts
  resource: UserFacts
  context: ActingFacts
}

interface ActorFacts {
  /** The actor's `sub`. */
  sub: string
  /** False if Stagedoor knows only the `sub`. */
  registered: boolean
  /** Banned, locked or disabled. */
  blocked: boolean
  /** Privilege level. 0 is an ordinary actor. */
  level: number
  /** The actor's teams, and all teams that these are part of. */
  teams: readonly string[]
  /** The customers that the actor looks after. */
  organizations: readonly string[]
}

/** A person who acts as users. */
export interface OperatorFacts extends ActorFacts {
  kind: 'operator'
  /** The operator's own user account. */
  user?: UserFacts
}

/** A program that acts as users. */
export interface AgentFacts extends ActorFacts {
  kind: 'agent'
  /** The person responsible for the agent. */
  owner?: OperatorFacts
}

/** The user who is acted as, or an operator's own account. */
export interface UserFacts {
  id: string
  /** True if this user must never be acted as. */
  protected: boolean
  /** This user acts as other users. */
  operator: boolean
  blocked: boolean
  level: number
  external_id?: string
  /** The user's tags, and all tags that these are part of. */
  tags: readonly string[]
  organizations: readonly string[]
}

/** The circumstances of a request to act. */
export interface ActingFacts {
  environment: 'development' | 'production'
  /** Name of the secret key that created the actor token. */
  key: string
  /** Absent if no reason was given. Policies do not see its text. */
  reason?: { category?: string; ticket?: string }
  /** Maximum session length, in seconds. */
  duration: number
  /** All that the session may do. Absent: unrestricted. An empty list restricts the session to nothing. */
  scopes?: readonly string[]
  /** Length of the chain of actors. 1: acts directly. */
  depth: number
  /** How the actor logged in. `age` is in seconds, at the creation of the actor token. */
  auth?: { age: number; amr: readonly string[] }
  /** The actor's IP address, if it is known. */
  ip?: string
  /** Unix time in ms. */
  now: number
  /** Local time in the server's time zone: 1 is Monday; minutes since midnight. */
  time: { weekday: number; minute: number }
  /** Valid approvals of this request by other people, and the teams of these people. */
  approvals: number
  approver_teams: readonly string[]
  /** The user agreed and has not withdrawn it. */
  consent: boolean
  break_glass: boolean
  /** Earlier break-glass access of this actor that is not reviewed yet. */
  open_reviews: number
}

/** The answer to one question. */
export interface Decision {
  allowed: boolean
  access: Access
  version: number
  /**
   * The policies that decided: the permits of an allowed request, the forbids of a refused one. Empty if the request is refused
   * because no policy permits it.
   */
  determined_by: readonly PolicySummary[]
  /** The ids of the permits that apply. A refused request has them only if they were asked for. */
  permitted_by: readonly string[]
  /** Policies that could not be evaluated, or facts that the engine did not accept. With any error the request is refused. */
  errors: readonly DecisionError[]
  /** How often the engine evaluated the policies for this answer. */
  evaluations: number
}

export interface DecisionError {
  /** The policy, or null if the facts are at fault. */
  id: string | null
  message: string
}

/** A policy, as shown to people. */
export interface PolicySummary {
  id: string
  effect: 'permit' | 'forbid'
  title: string | null
  message: string | null
  /** Line in the document, from 1. Null for a base rule. */
  line: number | null
}

/** What is known about a loaded version. */
export interface LoadedPolicy {
  version: number
  /** The base rules that are on, then the policies of the document. */
  policies: readonly PolicySummary[]
  time: TimeUse
  /** True if a policy uses `context.ip`: a request from another address must be decided again. */
  uses_ip: boolean
  /** True if a policy names a user or an actor, or reads an external id: then it matters who they are, not only what is known about them. */
  names_people: boolean
  constants: PolicyConstants
}

/** How policies use the time. It tells until when a decision stays the same: `validUntil` in policy-facts.ts. */
export interface TimeUse {
  /** Minutes of the day at which a comparison changes, in ascending order. */
  minutes: readonly number[]
  weekday: boolean
  /** Unix times in ms at which a comparison with `now` changes, in ascending order. */
  instants: readonly number[]
  /** True if the time is used in a way that can change at any full minute. */
  every_minute: boolean
}

/** Values that policies compare with facts of a request. They suggest what could turn a refusal into an allow. */
export interface PolicyConstants {
  categories: readonly string[]
  /** True if a policy compares the ticket itself, so that not every ticket is as good as another. */
  compares_ticket: boolean
  /** Durations in seconds that just satisfy a comparison, longest first. */
  durations: readonly number[]
  uses_auth: boolean
  amr: readonly string[]
}

/** A mistake in a policy or its tests, or advice about it. */
export interface PolicyProblem {
  /** The policy, if it is known. */
  id: string | null
  /** Position in the text, from 1. Null if the problem is not in the text. */
  line: number | null
  column: number | null
  message: string
  help: string | null
}

export type PolicyRefusal = 'policy_invalid' | 'policy_too_large' | 'policy_too_slow' | 'policy_test_failed'

/** The result of `check`. */
export interface PolicyCheck {
  /** Why the policy cannot be used, as an error code. Null if it can. */
  refusal: PolicyRefusal | null
  errors: readonly PolicyProblem[]
  warnings: readonly PolicyProblem[]
  /** One result per test. Empty if the policy itself is invalid. */
  tests: readonly PolicyTestResult[]
  policies: readonly PolicySummary[]
  /** True if a decision can change with time alone. */
  time_dependent: boolean
}

export interface PolicyTestResult {
  /** Line in the tests, from 1. */
  line: number
  name: string | null
  passed: boolean
  /** What differs, in one sentence. Null if the test passed. */
  difference: string | null
}

/** One question of many. */
export interface Question {
  facts: Facts
  access: Access
}

/** The answers to many questions, in their order. */
export interface WhatIf {
  check: PolicyCheck
  /** Empty if the policy cannot be used. Shorter than the questions if the time was over. */
  answers: readonly { allowed: boolean; determined_by: readonly string[] }[]
  /** True if the engine stopped early, so that not every question has an answer. */
  sampled: boolean
}

/** The engine. A call that cannot be answered throws {@link PolicyUnavailable}. */
export interface PolicyEngine {
  /**
   * Makes a version ready to decide. The first call loads the engine, which takes some 300 ms. Each new instance of the engine
   * must refuse a protected user before it may decide.
   */
  load(document: PolicyDocument): Promise<LoadedPolicy>
  /** Returns a version that is ready, else undefined. */
  loaded(version: number): LoadedPolicy | undefined
  /**
   * Decides one request with a loaded version.
   * @param options.explain also names the permits behind a forbid, at the cost of one more evaluation
   */
  decide(version: number, facts: Facts, access: Access, options?: { explain?: boolean }): Decision
  /** Checks a policy in a thread of its own, and runs its tests. `zone` is the time zone of the tests. */
  check(text: string, off: readonly string[], tests?: string, options?: { zone?: string }): Promise<PolicyCheck>
  /** Decides many requests with a policy that is not in force, in a thread of its own, for at most 20 s. */
  whatIf(text: string, off: readonly string[], questions: readonly Question[]): Promise<WhatIf>
}

/** The error of a call that the engine could not answer. Whatever needed the decision must be refused. */
export interface PolicyUnavailable extends Error {
  code: 'policy_unavailable'
}
