import type { Resource } from './resource.ts'

export const secretKeys: Resource = {
  name: 'SecretKeys',
  file: 'secret-keys',
  about: 'The keys with which servers call the Backend API, each with its rights.',
  id: 'key',
  methods: {
    CreateSecretKey: {
      name: 'create',
      does: 'Creates a secret key. Only this answer has the key itself, in `secret`: store it at once. If the answer is lost, the client repeats the request and gets the error `secret_key_shown_before`: revoke the key that it names, and create another.',
      request:
        '`name`, what the key is for; `rights`, `everything` (the default) or some of `act`, `audit`, `policy` and `users`; `expires_in_seconds`, by default the key does not expire',
      errors: { secret_key_shown_before: 'an earlier request with this idempotency key created the key' },
      examples: {
        typescript:
          "const { id, secret } = await stagedoor.secretKeys.create({ name: 'support-tool', rights: ['act', 'audit'], expiresInSeconds: 7_776_000 })",
        python: `
          >>> key = stagedoor.secret_keys.create(name="support-tool", rights=["act", "audit"])
          >>> key.rights, key.secret.startswith("sk_test_")
          (['act', 'audit'], True)`,
      },
    },
    GetSecretKeyList: {
      name: 'list',
      does: 'Lists secret keys, newest first, without the keys themselves.',
      examples: {
        typescript: 'const { data, totalCount } = await stagedoor.secretKeys.list({ limit: 100 })',
        python: `
          >>> all(each.hint.startswith("sk_test_") for each in stagedoor.secret_keys.list())
          True`,
      },
    },
    RevokeSecretKey: {
      name: 'revoke',
      does: 'Revokes a secret key. From then on, every request with it is refused.',
      examples: {
        typescript: "await stagedoor.secretKeys.revoke('key_2f8d')",
        python: `
          >>> unused = stagedoor.secret_keys.create(name="unused", rights=["audit"])
          >>> stagedoor.secret_keys.revoke(unused.id).revoked_at is None
          False`,
      },
    },
  },
}
