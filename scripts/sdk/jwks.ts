import type { Resource } from './resource.ts'

export const jwks: Resource = {
  name: 'Jwks',
  file: 'jwks',
  about: 'The public keys that verify session tokens.',
  methods: {
    GetJWKS: {
      name: 'get',
      does: {
        typescript:
          'Reads the public keys as a key set (RFC 7517). To verify tokens, prefer `remoteJwks` of `@stagedoor/sdk/verify`, which needs no secret key and handles key rotation.',
        python:
          'Reads the public keys as a key set (RFC 7517). To verify tokens, prefer `server_url` of `verify_token`, which needs no secret key and handles key rotation.',
      },
      examples: {
        typescript: 'const { keys } = await stagedoor.jwks.get()',
        python: `
          >>> {key.alg for key in stagedoor.jwks.get().keys}
          {'RS256'}`,
      },
    },
  },
}
