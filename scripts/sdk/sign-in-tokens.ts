import type { Resource } from './resource.ts'

export const signInTokens: Resource = {
  name: 'SignInTokens',
  file: 'sign-in-tokens',
  about: 'One-time grants to sign in as a user, without an actor.',
  id: 'sit',
  methods: {
    CreateSignInToken: {
      name: 'create',
      does: "Creates a sign-in token. It is like an actor token, but its session is the user's own and has no actor.",
      request: '`user_id`; `expires_in_seconds` (2592000, which is 30 days)',
      errors: { resource_not_found: 'no such user' },
      hasTicket: true,
      examples: {
        typescript:
          "const { url } = await stagedoor.signInTokens.create({ userId: 'user_29w83', expiresInSeconds: 600 })",
        python: `
          >>> stagedoor.sign_in_tokens.create(user_id=user.id, expires_in_seconds=600).status
          'pending'`,
      },
    },
    GetSignInTokenList: {
      name: 'list',
      does: 'Lists sign-in tokens, newest first, without their tickets.',
      filters: '`status` (`pending`, `accepted`, `revoked`), `user_id`',
      examples: {
        typescript:
          "for await (const { id } of stagedoor.signInTokens.list({ status: 'pending' })) await stagedoor.signInTokens.revoke(id)",
        python: `
          >>> created = stagedoor.sign_in_tokens.create(user_id=user.id)
          >>> for token in stagedoor.sign_in_tokens.list(status="pending", user_id=user.id):
          ...     stagedoor.sign_in_tokens.revoke(token.id).status
          'revoked'`,
      },
    },
    RevokeSignInToken: {
      name: 'revoke',
      does: 'Revokes a pending sign-in token.',
      errors: { sign_in_token_cannot_be_revoked_code: 'it is not pending' },
      examples: {
        typescript: "await stagedoor.signInTokens.revoke('sit_2f8d')",
        python: `
          >>> token = stagedoor.sign_in_tokens.create(user_id=user.id)
          >>> stagedoor.sign_in_tokens.revoke(token.id).status
          'revoked'`,
      },
    },
  },
}
