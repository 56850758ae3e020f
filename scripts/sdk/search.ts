import type { Resource } from './resource.ts'

export const search: Resource = {
  name: 'Search',
  file: 'search',
  about: 'Users, sessions and actor tokens, for one search box.',
  methods: {
    Search: {
      name: 'find',
      does: 'Finds users, sessions and actor tokens, at most 8 of each, newest first.',
      members: {
        query:
          'for users a part of an id, name, e-mail address or phone number; for sessions and actor tokens their exact id, or the exact id of their user or `sub` of their actor',
      },
      returns: 'a kind that the secret key may not read is empty',
      examples: {
        typescript: "const { users, sessions } = await stagedoor.search.find('olivia')",
        python: `
          >>> [found.id == user.id for found in stagedoor.search.find(user.external_id).users]
          [True]`,
      },
    },
  },
}
