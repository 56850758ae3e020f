import { z } from 'zod'
import { Access, Scopes } from './access.ts'
import { Actor, MAX_SUB_LENGTH } from './actor.ts'
import { ActorLogin, formErrors, IpAddress } from './actor-tokens.ts'
import { PutActorRequestBody } from './actors.ts'
import { Id, JsonObject, listOf, Milliseconds, operation, pagedQuery } from './operation.ts'

/** The policy: rules, written in Cedar, that decide who may act as whom. docs/concepts/policy.md explains the model. */

const version = z.int().min(0).describe('0 is the default policy, which is in force until you apply your own.')

const text = z.string().max(100_000).describe('The rules, in Cedar.')

const off = z
  .array(z.string().max(64))
  .max(64)
  .describe('Names of base rules that do not apply, such as `base.operators`.')

const tests = z.string().max(100_000).optional().describe('Tests of the policy, one JSON object per line.')

export const Policy = z
  .strictObject({
    object: z.literal('policy'),
    version,
    text,
    off,
    digest: z.string().describe('SHA-256 of the rules and the names of the rules that are off, in hex.'),
    reason: z.string().nullable(),
    created_by: z.string().nullable().describe('Who applied it: the id of a secret key, or `command_line`.'),
    created_at: Milliseconds.nullable(),
  })
  .meta({ id: 'PolicyVersion' })

const Problem = z
  .strictObject({
    id: z.string().nullable().describe('The rule.'),
    line: z.int().nullable(),
    column: z.int().nullable(),
    message: z.string(),
    help: z.string().nullable(),
  })
  .meta({ id: 'PolicyProblem' })

export const AppliedPolicy = Policy.extend({
  warnings: z.array(Problem).describe('What the policy probably does not do as its author expects.'),
}).meta({ id: 'AppliedPolicy' })

const Rule = z
  .strictObject({
    id: z.string(),
    effect: z.enum(['permit', 'forbid']),
    title: z.string().nullable(),
    message: z.string().nullable(),
    line: z.int().nullable().describe('Line in the policy; null for a base rule.'),
  })
  .meta({ id: 'PolicyRule' })

const TestResult = z
  .strictObject({
    line: z.int(),
    name: z.string().nullable(),
    passed: z.boolean(),
    difference: z.string().nullable().describe('What differs; null if the test passed.'),
  })
  .meta({ id: 'PolicyTestResult' })

export const PolicyCheck = z
  .strictObject({
    object: z.literal('policy_check'),
    valid: z.boolean(),
    code: z.string().nullable().describe('Why the policy cannot be applied: an error code.'),
    errors: z.array(Problem),
    warnings: z.array(Problem),
    tests: z.array(TestResult),
    rules: z.array(Rule),
    time_dependent: z.boolean().describe('Whether a decision can change with time alone.'),
  })
  .meta({ id: 'PolicyCheck' })

const DecisionError = z
  .strictObject({ id: z.string().nullable().describe('The rule.'), message: z.string() })
  .meta({ id: 'PolicyDecisionError' })

export const PolicyDecision = z
  .strictObject({
    object: z.literal('policy_decision'),
    decision: z.enum(['allowed', 'refused']),
    access: Access.describe('What was asked for.'),
    policy_version: version,
    determined_by: z.array(Rule).describe('The rules that decided. None if it is refused because no rule permits it.'),
    permitted_by: z.array(z.string()).describe('The rules that would permit it.'),
    needs: z
      .array(z.array(z.string()))
      .describe('Alternatives that each turn the refusal into an allow: `reason`, `ticket`, `duration:900`, …'),
    errors: z.array(DecisionError),
    valid_until: Milliseconds.nullable().describe('When the decision can change although nothing else does.'),
    facts: z.record(z.string(), z.unknown()).describe('What the rules were applied to.'),
  })
  .meta({ id: 'PolicyDecision' })

const RefusedSession = z
  .strictObject({
    session_id: Id,
    user_id: Id,
    actor_sub: z.string(),
    determined_by: z.array(z.string()).describe('The rules that would refuse it. None: no rule permits it.'),
  })
  .meta({ id: 'RefusedSession' })

const LiveSessions = z
  .strictObject({
    checked: z.int(),
    refused: z.int(),
    sessions: z.array(RefusedSession).describe('Those that would end, at most 100.'),
  })
  .meta({ id: 'PolicyWhatIfLive' })

const PastActs = z
  .strictObject({
    checked: z.int(),
    refused: z.int().describe('Allowed by the policy in force, refused by the other one.'),
    newly_allowed: z.int().describe('Refused by the policy in force, allowed by the other one.'),
    by_rule: z.record(z.string(), z.int()).describe('How many each rule would refuse; `(none)`: no rule permits it.'),
  })
  .meta({ id: 'PolicyWhatIfActs' })

export const PolicyWhatIf = z
  .strictObject({
    object: z.literal('policy_what_if'),
    policy_version: version.describe('The version in force.'),
    live: LiveSessions.describe('Active sessions with an actor, those that started last first.'),
    acts: PastActs.describe(
      'Actor tokens that were created in the last days, with what is known about users and actors now.',
    ),
    complete: z.boolean().describe('False if there were more than could be decided about.'),
  })
  .meta({ id: 'PolicyWhatIf' })

const expect_refused = z
  .int()
  .min(0)
  .default(0)
  .describe('How many active sessions the change may end at most. With more, it is refused.')

const shared = { tag: 'Policy', auth: 'secret_key', stagedoorOnly: true } as const
const readers = { rights: ['policy', 'audit'], roles: ['viewer', 'support', 'approver', 'admin'] } as const
const writers = { rights: ['policy'], roles: ['admin'] } as const

const refusals = ['policy_invalid', 'policy_too_large', 'policy_too_slow', 'policy_test_failed'] as const

export const getPolicy = operation({
  ...shared,
  ...readers,
  id: 'GetPolicy',
  method: 'get',
  path: '/v1/policy',
  summary: 'Read the policy in force',
  response: Policy,
})

export const listPolicyVersions = operation({
  ...shared,
  ...readers,
  id: 'ListPolicyVersions',
  method: 'get',
  path: '/v1/policy/versions',
  summary: 'List versions of the policy, newest first',
  query: pagedQuery({}, z.string().regex(/^\d{1,15}$/, { error: 'the `next_cursor` of the previous page' })),
  response: listOf(Policy),
})

export const putPolicy = operation({
  ...shared,
  ...writers,
  id: 'PutPolicy',
  method: 'put',
  path: '/v1/policy',
  summary: 'Apply a policy',
  description:
    'The policy is checked and its tests are run before it is in force. It decides about every request that arrives after the answer. Active sessions that it refuses end shortly after; it is not applied if these are more than `expect_refused`.',
  action: 'policy.change',
  stepUp: true,
  body: z
    .strictObject({
      text,
      off: off.default([]),
      tests,
      if_version: version.optional().describe('The version that this change is based on. Default: any.'),
      expect_refused,
      reason: z.string().min(1).max(500).optional().describe('Why, for the audit log and the history.'),
    })
    .meta({ id: 'PutPolicyRequestBody' }),
  response: AppliedPolicy,
  errors: [...formErrors, ...refusals, 'policy_changed_meanwhile', 'policy_ends_sessions'],
})

export const rollbackPolicy = operation({
  ...shared,
  ...writers,
  id: 'RollbackPolicy',
  method: 'post',
  path: '/v1/policy/rollback',
  summary: 'Apply an earlier version of the policy again',
  description: 'The earlier text gets a new version. 0 is the default policy.',
  action: 'policy.change',
  stepUp: true,
  body: z
    .strictObject({ version, expect_refused, reason: z.string().min(1).max(500).optional() })
    .meta({ id: 'RollbackPolicyRequestBody' }),
  response: AppliedPolicy,
  errors: [...formErrors, ...refusals, 'resource_not_found', 'policy_changed_meanwhile', 'policy_ends_sessions'],
})

export const checkPolicy = operation({
  ...shared,
  ...writers,
  id: 'CheckPolicy',
  method: 'post',
  path: '/v1/policy/check',
  summary: 'Check a policy and run its tests, without applying it',
  body: z.strictObject({ text, off: off.default([]), tests }).meta({ id: 'CheckPolicyRequestBody' }),
  response: PolicyCheck,
  errors: [...formErrors],
})

/** What if this actor were registered like this? */
export const SupposedActor = PutActorRequestBody.extend({
  sub: z.string().min(1).max(MAX_SUB_LENGTH).describe('The `sub` of the actor.'),
}).meta({ id: 'SupposedActor' })

/** What if this user had this metadata? */
export const SupposedUser = z
  .strictObject({
    id: Id,
    private_metadata: JsonObject.meta({ type: 'object', additionalProperties: true }).describe(
      'The complete private metadata. Policies read `stagedoor` in it, such as `{ "stagedoor": { "protected": true } }`.',
    ),
  })
  .meta({ id: 'SupposedUser' })

export const whatIfPolicy = operation({
  ...shared,
  ...writers,
  id: 'WhatIfPolicy',
  method: 'post',
  path: '/v1/policy/what_if',
  summary: 'Say what another policy, actor or user would change, without changing anything',
  description:
    'Decides about active sessions and about the actor tokens of the last days: with the policy and the facts as they are, and with the `text`, the `registration` of an actor and the metadata of a `user` that you send. Send at least one of these. It takes at most 20 seconds.',
  body: z
    .strictObject({
      text: text.optional().describe('The rules. Default: the policy in force.'),
      off: off.default([]).describe('Base rules that do not apply. Only with `text`.'),
      registration: SupposedActor.optional().describe('An actor, registered like this.'),
      user: SupposedUser.optional().describe('A user, with this private metadata.'),
      days: z.int().min(0).max(3_650).default(30).describe('Days to look back for actor tokens; 0: none.'),
    })
    .meta({ id: 'WhatIfPolicyRequestBody' }),
  response: PolicyWhatIf,
  errors: [...formErrors, 'resource_not_found', 'policy_invalid', 'policy_too_large', 'policy_too_slow'],
})

export const explainPolicy = operation({
  ...shared,
  rights: ['act', 'policy'],
  roles: ['support', 'approver', 'admin'],
  actorIsOperator: { except: ['admin'] },
  id: 'ExplainPolicy',
  method: 'post',
  path: '/v1/policy/explain',
  summary: 'Say how the policy decides, and why, without creating anything',
  description: 'Send what CreateActorToken takes, or the id of a session or of an actor token.',
  body: z
    .strictObject({
      user_id: Id.optional(),
      actor: Actor.optional(),
      session_id: Id.optional().describe('Decides about this session, instead of a new token.'),
      actor_token_id: Id.optional().describe('Decides about this actor token, as if its ticket were redeemed now.'),
      session_max_duration_in_seconds: z.int().min(1).max(315_360_000).default(1_800),
      access: Access.optional().describe('Default: `write`, or STAGEDOOR_DEFAULT_ACCESS.'),
      scopes: Scopes.optional(),
      reason: z.string().min(1).max(500).optional(),
      reason_category: z.string().min(1).max(64).optional(),
      ticket: z.string().min(1).max(500).optional(),
      auth: ActorLogin.optional(),
      ip: IpAddress.optional().describe(
        'The address of the actor. Default: of a session, the address at which it started; otherwise none.',
      ),
    })
    .meta({ id: 'ExplainPolicyRequestBody' }),
  response: PolicyDecision,
  errors: [...formErrors, 'resource_not_found'],
})
