import type { Resource } from './resource.ts'

export const actorTokens: Resource = {
  name: 'ActorTokens',
  file: 'actor-tokens',
  about: 'One-time grants to act as a user.',
  id: 'act',
  methods: {
    CreateActorToken: {
      name: 'create',
      does: 'Creates an actor token: a one-time grant to act as a user. Its `token` (the ticket) is redeemed once, in a browser by opening `url` or in a backend with `accept`. Only this answer has the ticket and the URL.',
      request:
        '`user_id`; `actor`, any JSON object with a string `sub`; seconds in `expires_in_seconds` (3600) and `session_max_duration_in_seconds` (1800); `access` (`read` or `write`) and `scopes`, which limit the session; `reason` for the audit log; `return_url`, where the browser goes when the operator stops acting',
      errors: { resource_not_found: 'no such user' },
      hasTicket: true,
      examples: {
        typescript:
          "const { id, url } = await stagedoor.actorTokens.create({ userId: 'user_29w83', actor: { sub: 'user_2OEpK' }, access: 'read', reason: 'ticket 4711' })",
        python: `
          >>> request = models.CreateActorTokenRequestBody(
          ...     user_id=user.id,
          ...     actor=models.CreateActorTokenActor(sub="olivia@support"),
          ...     expires_in_seconds=600,
          ...     session_max_duration_in_seconds=900,
          ... )
          >>> stagedoor.actor_tokens.create(request=request).status
          'pending'
          >>> stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": "olivia@support", "team": 7}).actor
          Actor(sub='olivia@support', team=7)`,
      },
    },
    GetActorTokenList: {
      name: 'list',
      does: 'Lists actor tokens, newest first, without their tickets.',
      filters: '`status` (`pending`, `accepted`, `revoked`), `user_id`, `actor_sub`',
      examples: {
        typescript:
          "const { data, totalCount } = await stagedoor.actorTokens.list({ status: 'pending', actorSub: 'user_2OEpK' })",
        python: `
          >>> for token in stagedoor.actor_tokens.list(status="pending", user_id=user.id):
          ...     print(token.actor.sub)
          olivia@support`,
      },
    },
    GetActorToken: {
      name: 'get',
      does: 'Reads an actor token, without its ticket.',
      examples: {
        typescript: "const { status, sessionId } = await stagedoor.actorTokens.get('act_2f8d')",
        python: `
          >>> stagedoor.actor_tokens.get(token.id).status
          'pending'`,
      },
    },
    RevokeActorToken: {
      name: 'revoke',
      does: 'Revokes a pending actor token. If it was already redeemed, revoke the session that it started with `sessions.revoke`.',
      errors: { actor_token_cannot_be_revoked_code: 'it is not pending' },
      examples: {
        typescript: "await stagedoor.actorTokens.revoke('act_2f8d', { reason: 'no longer needed' })",
        python: `
          >>> stagedoor.actor_tokens.revoke(token.id, reason="no longer needed").status
          'revoked'`,
      },
    },
    AcceptActorToken: {
      name: 'accept',
      does: 'Redeems a ticket in a backend, without a browser: for apps that keep their own login. A ticket can be redeemed once. If an answer is lost, the client repeats the request with the same idempotency key.',
      members: {
        ticket: "an actor token's `token`",
        actor_sub:
          'the actor you expect, which is the person who is signed in to your app. A ticket for a different actor is refused and stays pending',
        understands:
          '`["scope"]` if your app enforces `session.access` and `session.scopes`. Without it, a limited token is refused and stays pending',
      },
      returns: 'the new session, and its first session token (60 seconds; get further ones with `sessions.get_token`)',
      errors: {
        actor_mismatch: 'the ticket is for a different actor',
        scope_not_understood: 'the session would be limited, and you did not send `understands`',
      },
      pythonTakesMembers: true,
      examples: {
        typescript: `
          const { token: ticket } = await stagedoor.actorTokens.create({ userId: 'user_29w83', actor: { sub: 'user_2OEpK' } })
          const { session, token } = await stagedoor.actorTokens.accept({ ticket, actorSub: 'user_2OEpK' })
          console.log(session.actor.sub, session.expireAt, token.jwt)`,
        python: `
          >>> accepted = stagedoor.actor_tokens.accept(token.token, actor_sub="olivia@support")
          >>> accepted.session.actor.sub
          'olivia@support'
          >>> accepted.session.user_id == accepted.user.id
          True`,
      },
    },
  },
}
