import type { Resource } from './resource.ts'

export const policy: Resource = {
  name: 'Policy',
  file: 'policy',
  about: 'The policy: rules, written in Cedar, that decide who may act as whom.',
  id: '1',
  methods: {
    GetPolicy: {
      name: 'get',
      does: 'Reads the policy in force.',
      examples: {
        typescript: 'const { version, text } = await stagedoor.policy.get()',
        python: `
          >>> stagedoor.policy.get().version >= 0
          True`,
      },
    },
    PutPolicy: {
      name: 'put',
      does: 'Applies a policy, after checking it and running its tests.',
      request:
        '`text`, the rules; `off`, names of base rules that do not apply; `tests`, one JSON object per line; `if_version`, the version that the change is based on; `expect_refused`, how many active sessions it may end at most (default: 0); `reason`',
      errors: {
        policy_invalid: '`meta.errors` has the line and the column of each error',
        policy_test_failed: '`meta.tests` has the tests that failed',
        policy_changed_meanwhile: '`if_version` is not the version in force',
        policy_ends_sessions: '`meta.sessions` has sessions that would end',
      },
      examples: {
        typescript: "await stagedoor.policy.put({ text: 'permit (principal, action, resource);', ifVersion: 16 })",
        python: `
          >>> rule = '@id("all") permit (principal, action in Action::"act", resource);'
          >>> stagedoor.policy.put(text=rule, off=["base.reason"]).version > 0
          True`,
      },
    },
    ListPolicyVersions: {
      name: 'list_versions',
      does: 'Lists the versions that were applied, newest first.',
      examples: {
        typescript:
          'for await (const { version, createdBy } of stagedoor.policy.listVersions()) console.log(version, createdBy)',
        python: `
          >>> all(each.version > 0 for each in stagedoor.policy.list_versions())
          True`,
      },
    },
    RollbackPolicy: {
      name: 'rollback',
      does: 'Applies an earlier version again, as a new version. 0 is the default policy.',
      errors: {
        resource_not_found: 'there is no such version',
        policy_ends_sessions: '`meta.sessions` has sessions that would end',
      },
      examples: {
        typescript: 'await stagedoor.policy.rollback({ version: 16 })',
        python: `
          >>> stagedoor.policy.rollback(version=0).version > 0
          True`,
      },
    },
    CheckPolicy: {
      name: 'check',
      does: 'Checks a policy and runs its tests, without applying it.',
      examples: {
        typescript:
          "const { valid, errors } = await stagedoor.policy.check({ text: 'permit (principal, action, resource);' })",
        python: `
          >>> stagedoor.policy.check(text="permit (principal, action, resource)").valid
          False`,
      },
    },
    WhatIfPolicy: {
      name: 'what_if',
      does: 'Says what would change if a policy were in force, without applying it.',
      request:
        'at least one of `text` (and `off`, as for `put`), `registration` of an actor, and `user`; `days` to look back for actor tokens (default: 30)',
      examples: {
        typescript: `
          const { live, acts } = await stagedoor.policy.whatIf({ text: 'permit (principal, action, resource);' })
          console.log(\`would end \${live.refused} sessions, would have refused \${acts.refused} tokens\`)`,
        python: `
          >>> rule = '@id("all") permit (principal, action in Action::"act", resource);'
          >>> stagedoor.policy.what_if(text=rule, off=["base.reason"], days=1).complete
          True`,
      },
    },
    ExplainPolicy: {
      name: 'explain',
      does: 'Says how the policy decides, and why, without creating anything.',
      request: 'what `actor_tokens.create` takes, or `session_id`, or `actor_token_id`',
      errors: { resource_not_found: 'there is no such user, session or actor token' },
      examples: {
        typescript:
          "const { decision, determinedBy, needs } = await stagedoor.policy.explain({ userId: 'user_2OEp', actor: { sub: 'olivia@support' } })",
        python: `
          >>> stagedoor.policy.explain(user_id=user.id, actor={"sub": "olivia@support"}).decision
          'allowed'`,
      },
    },
  },
}
