import type { Resource } from './resource.ts'

export const sessions: Resource = {
  name: 'Sessions',
  file: 'sessions',
  about: 'Sessions of users, and sessions of actors who act as a user.',
  id: 'sess',
  methods: {
    GetSessionList: {
      name: 'list',
      does: 'Lists sessions, newest first.',
      filters: '`user_id`, `client_id`, `actor_sub` (sessions in which this actor acts), `status`',
      examples: {
        typescript: `
          for await (const { id } of stagedoor.sessions.list({ actorSub: 'user_2OEpK', status: 'active' })) {
            await stagedoor.sessions.revoke(id)
          }`,
        python: `
          >>> for session in stagedoor.sessions.list(actor_sub="olivia@support", user_id=user.id, status="active"):
          ...     print(session.actor.sub)
          olivia@support`,
      },
    },
    GetSession: {
      name: 'get',
      does: 'Reads a session. Does not count as use.',
      examples: {
        typescript: "const { status, actor, expireAt } = await stagedoor.sessions.get('sess_2f8d')",
        python: `
          >>> stagedoor.sessions.get(session.id).status
          'active'`,
      },
    },
    RevokeSession: {
      name: 'revoke',
      does: 'Revokes a session: once the server has answered, no new token is minted for it. A session that has already ended is returned unchanged.',
      examples: {
        typescript: "await stagedoor.sessions.revoke('sess_2f8d', { reason: 'done' })",
        python: `
          >>> stagedoor.sessions.revoke(session.id, reason="done").status
          'revoked'`,
      },
    },
    RevokeAllSessions: {
      name: 'revoke_all',
      does: 'The kill switch: revokes all sessions and pending tokens of a user, of an actor, or of the whole server. Once the server has answered, no node mints or redeems anything for them, no matter how many there are.',
      request: 'exactly one of `user_id`, `actor_sub`, `everything: true`; `reason` for the audit log',
      returns:
        '`not_before` (Unix ms): everything created up to then is revoked. `complete` is false if some sessions have not been marked yet; they are already revoked. `matched` is false if this actor has never had a token or a session; `similar_actor_subs` then has actors that differ only in case, white space or Unicode normalization',
      errors: { resource_not_found: 'no such user' },
      examples: {
        typescript:
          "const { revokedSessions } = await stagedoor.sessions.revokeAll({ actorSub: 'user_2OEpK', reason: 'laptop stolen' })",
        python: `
          >>> stagedoor.sessions.revoke_all(user_id=user.id, reason="laptop stolen").revoked_sessions
          1`,
      },
    },
    createSession: {
      name: 'create',
      does: 'Starts a session as the user, without an actor or ticket: for tests, on development instances only.',
      request: '`user_id`',
      examples: {
        typescript: "const session = await stagedoor.sessions.create({ userId: 'user_29w83' })",
        python: `
          >>> stagedoor.sessions.create(user_id=user.id).actor is None
          True`,
      },
    },
  },
}
