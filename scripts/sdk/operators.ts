import type { Resource } from './resource.ts'

export const operators: Resource = {
  name: 'Operators',
  file: 'operators',
  about: 'The operators of the console: who may use it, each with a role.',
  id: 'opr',
  methods: {
    ListOperators: {
      name: 'list',
      does: 'Lists the operators of the console, newest first.',
      examples: {
        typescript: 'const { data } = await stagedoor.operators.list({ limit: 100 })',
        python: `
          >>> invited = stagedoor.operators.invite(email="olivia@example.com", role="support")
          >>> "olivia@example.com" in [each.email for each in stagedoor.operators.list()]
          True`,
      },
    },
    GetOperator: {
      name: 'get',
      does: 'Reads an operator.',
      examples: {
        typescript: "const { role } = await stagedoor.operators.get('opr_2f8d')",
        python: `
          >>> invited = stagedoor.operators.invite(email="olivia@example.com", role="support")
          >>> stagedoor.operators.get(invited.id).role
          'support'`,
      },
    },
    InviteOperator: {
      name: 'invite',
      does: 'Invites an operator who has no identity provider. Only this answer has the link, in `link`: it is valid for an hour and can be used once. If the operator exists, it is another link for the same one.',
      request: '`email`, which identifies the operator; `role`; `name`',
      errors: { operator_disabled: 'the operator is disabled' },
      examples: {
        typescript:
          "const { link } = await stagedoor.operators.invite({ email: 'olivia@example.com', role: 'support' })",
        python: `
          >>> invited = stagedoor.operators.invite(email="olivia@example.com", role="support")
          >>> "/console/join#" in invited.link
          True`,
      },
    },
    DisableOperator: {
      name: 'disable',
      does: 'Disables an operator. It ends all of their sessions, in the console and acting ones, and disables the actor.',
      examples: {
        typescript: "await stagedoor.operators.disable('opr_2f8d')",
        python: `
          >>> invited = stagedoor.operators.invite(email="mallory@example.com", role="viewer")
          >>> stagedoor.operators.disable(invited.id).disabled_at is None
          False`,
      },
    },
    EnableOperator: {
      name: 'enable',
      does: 'Lets a disabled operator sign in again.',
      examples: {
        typescript: "await stagedoor.operators.enable('opr_2f8d')",
        python: `
          >>> invited = stagedoor.operators.invite(email="otto@example.com", role="viewer")
          >>> disabled = stagedoor.operators.disable(invited.id)
          >>> stagedoor.operators.enable(invited.id).disabled_at is None
          True`,
      },
    },
  },
}

export const operatorSessions: Resource = {
  name: 'OperatorSessions',
  file: 'operator-sessions',
  about: 'The sessions of operators in the console.',
  id: 'ops',
  methods: {
    ListOperatorSessions: {
      name: 'list',
      does: 'Lists sessions in the console, newest first.',
      examples: {
        typescript: "const { data } = await stagedoor.operatorSessions.list({ operatorId: 'opr_2f8d' })",
        python: `
          >>> stagedoor.operator_sessions.list(operator_id="opr_2f8d").data
          []`,
      },
    },
    EndOperatorSession: {
      name: 'end',
      does: 'Ends a session in the console. The next request with it is refused.',
      examples: {
        typescript: "await stagedoor.operatorSessions.end('ops_2f8d')",
        python: `
          >>> for session in stagedoor.operator_sessions.list(operator_id="opr_2f8d"):
          ...     ended = stagedoor.operator_sessions.end(session.id)`,
      },
    },
  },
}
