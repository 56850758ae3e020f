import type { z } from 'zod'
import type { Policy, PolicyCheck, PolicyDecision } from '../../contract/policy.ts'
import type { Context } from '../../domain/context.ts'
import { type Decided, shownDecision } from '../../domain/policy.ts'
import type { PolicyCheck as CheckResult } from '../../domain/policy-engine.ts'
import type { PolicyRecord } from '../../domain/records.ts'

/** Presents the policy to servers, in the wire format. */

export function presentPolicy(record: PolicyRecord): z.input<typeof Policy> {
  const isDefault = record.version === 0
  return {
    object: 'policy',
    version: record.version,
    text: record.policy_text,
    off: JSON.parse(record.off),
    digest: record.digest,
    reason: record.reason,
    created_by: isDefault ? null : record.created_by,
    created_at: isDefault ? null : record.created_at,
  }
}

export function presentPolicyCheck(check: CheckResult): z.input<typeof PolicyCheck> {
  return {
    object: 'policy_check',
    valid: check.refusal === null,
    code: check.refusal,
    errors: [...check.errors],
    warnings: [...check.warnings],
    tests: [...check.tests],
    rules: [...check.policies],
    time_dependent: check.time_dependent,
  }
}

export function presentPolicyDecision(ctx: Context, decided: Decided): z.input<typeof PolicyDecision> {
  return {
    object: 'policy_decision',
    decision: decided.decision.allowed ? 'allowed' : 'refused',
    ...shownDecision(ctx, decided),
    valid_until: decided.until,
    facts: { ...decided.facts },
  }
}
