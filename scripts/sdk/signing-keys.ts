import type { Resource } from './resource.ts'

export const signingKeys: Resource = {
  name: 'SigningKeys',
  file: 'signing-keys',
  about: 'The keys that sign session tokens.',
  id: 'kid',
  methods: {
    ListSigningKeys: {
      name: 'list',
      does: 'Lists all signing keys, without their private parts.',
      examples: {
        typescript: 'const { data } = await stagedoor.signingKeys.list()',
        python: `
          >>> [key.status for key in stagedoor.signing_keys.list().data][:2]
          ['active', 'next']`,
      },
    },
    RotateSigningKeys: {
      name: 'rotate',
      does: 'Activates the next key, retires the active one, and creates a new next key.',
      request: '`at_once`: do not wait until every verifier knows the next key',
      returns: 'all signing keys',
      errors: { request_invalid: 'the next key was published less than 5 minutes ago' },
      examples: {
        typescript: 'await stagedoor.signingKeys.rotate()',
        python: `
          >>> stagedoor.signing_keys.rotate(at_once=True).object
          'signing_keys'`,
      },
    },
    RemoveSigningKey: {
      name: 'remove',
      does: 'Removes a retiring key whose tokens have expired.',
      request: '`emergency`: remove the key at once, in any state; its tokens become invalid',
      returns: 'all signing keys',
      errors: { request_invalid: 'tokens that it signed may still be in use' },
      examples: {
        typescript: "await stagedoor.signingKeys.remove('kid_2f8d', { emergency: true })",
        python: `
          >>> keys = stagedoor.signing_keys.rotate(at_once=True).data
          >>> [old, *_] = [key.id for key in keys if key.status == "retiring"]
          >>> removed = stagedoor.signing_keys.remove(old, emergency=True)
          >>> [key.status for key in removed.data if key.id == old]
          ['removed']`,
      },
    },
  },
}
