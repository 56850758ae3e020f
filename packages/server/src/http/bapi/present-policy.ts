import type { z } from 'zod'
import type { Tag, Team } from '../../contract/groups.ts'
import type { AppliedPolicy, Policy, PolicyCheck, PolicyDecision, PolicyWhatIf } from '../../contract/policy.ts'
import type { Context } from '../../domain/context.ts'
import { type Decided, needsOf, shownDecision } from '../../domain/policy.ts'
import type { AppliedPolicy as Applied } from '../../domain/policy-changes.ts'
import type { PolicyCheck as CheckResult } from '../../domain/policy-engine.ts'
import type { LiveSessions, PastActs } from '../../domain/policy-what-if.ts'
import type { GroupRecord, PolicyRecord } from '../../domain/records.ts'

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

export function presentAppliedPolicy({ record, warnings }: Applied): z.input<typeof AppliedPolicy> {
  return { ...presentPolicy(record), warnings: [...warnings] }
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
    ...shownDecision(decided),
    needs: needsOf(ctx, decided),
    valid_until: decided.until,
    facts: { ...decided.facts },
  }
}

export function presentTeam({ kind: _kind, parents, ...group }: GroupRecord): z.input<typeof Team> {
  return { object: 'team', ...group, parents: JSON.parse(parents) }
}

export function presentTag({ kind: _kind, parents, ...group }: GroupRecord): z.input<typeof Tag> {
  return { object: 'tag', ...group, parents: JSON.parse(parents) }
}

export function presentWhatIf(result: {
  policy_version: number
  live: LiveSessions
  acts: PastActs
}): z.input<typeof PolicyWhatIf> {
  const { complete: allSessions, sessions, ...live } = result.live
  const { complete: allActs, ...acts } = result.acts
  return {
    object: 'policy_what_if',
    policy_version: result.policy_version,
    live: { ...live, sessions: sessions.map(session => ({ ...session, determined_by: [...session.determined_by] })) },
    acts,
    complete: allSessions && allActs,
  }
}
