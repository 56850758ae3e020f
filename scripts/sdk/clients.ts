import type { Resource } from './resource.ts'

export const clients: Resource = {
  name: 'Clients',
  file: 'clients',
  about: 'Browsers (and backends) that hold sessions.',
  id: 'client',
  methods: {
    GetClient: {
      name: 'get',
      does: 'Reads a client and its active sessions.',
      examples: {
        typescript: "const { sessions, lastActiveSessionId } = await stagedoor.clients.get('client_2f8d')",
        python: `
          >>> session.id in stagedoor.clients.get(session.client_id).session_ids
          True`,
      },
    },
    VerifyClient: {
      name: 'verify',
      does: 'Verifies a `__client` cookie, and returns its client.',
      members: { token: "the cookie's value" },
      errors: { authentication_invalid: 'the cookie is not of this server, or its client no longer exists' },
      pythonTakesMembers: true,
      examples: {
        typescript: "const client = await stagedoor.clients.verify({ token: 'eyJhbGciOi…' })",
        python: `
          >>> try:
          ...     stagedoor.clients.verify("eyJhbGciOi…")
          ... except StagedoorError as error:
          ...     print(error.code)
          authentication_invalid`,
      },
    },
    GetHandshakePayload: {
      name: 'get_handshake_payload',
      does: "Exchanges a browser's handshake nonce for the cookies to set, as Clerk's server SDKs do.",
      members: { nonce: 'the query parameter `__clerk_handshake_nonce`' },
      errors: { invalid_handshake: 'the nonce is unknown or has expired' },
      examples: {
        typescript: "const { directives } = await stagedoor.clients.getHandshakePayload('2f8d…')",
        python: `
          >>> try:
          ...     stagedoor.clients.get_handshake_payload("of-nobody")
          ... except StagedoorError as error:
          ...     print(error.code)
          invalid_handshake`,
      },
    },
  },
}
