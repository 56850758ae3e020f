import type { Resource } from './resource.ts'

export const tags: Resource = {
  name: 'Tags',
  file: 'tags',
  about: 'Tags of users that are part of other tags.',
  id: 'gold',
  methods: {
    ListTags: {
      name: 'list',
      does: 'Lists tags that are part of other tags, by their names.',
      examples: {
        typescript: 'for await (const tag of stagedoor.tags.list()) console.log(tag.name, tag.parents)',
        python: `
          >>> stored = stagedoor.tags.put("gold", parents=["vip"])
          >>> "gold" in [each.name for each in stagedoor.tags.list()]
          True`,
      },
    },
    GetTag: {
      name: 'get',
      does: 'Reads a tag.',
      examples: {
        typescript: "const { parents } = await stagedoor.tags.get('gold')",
        python: `
          >>> stored = stagedoor.tags.put("gold", parents=["vip"])
          >>> stagedoor.tags.get("gold").parents
          ['vip']`,
      },
    },
    PutTag: {
      name: 'put',
      does: 'Stores which tags a tag is part of. A user with the tag then has those tags too.',
      request: '`parents`, the tags that it is part of',
      errors: {
        form_param_value_invalid: 'for example a tag that would be part of itself',
        policy_changed_meanwhile: 'other changes of the policy came first, several times',
      },
      examples: {
        typescript: "await stagedoor.tags.put('gold', { parents: ['vip'] })",
        python: `
          >>> stagedoor.tags.put("gold", parents=["vip"]).parents
          ['vip']`,
      },
    },
    DeleteTag: {
      name: 'delete',
      does: 'Removes a tag, and with it which tags it is part of.',
      examples: {
        typescript: "await stagedoor.tags.delete('gold')",
        python: `
          >>> stored = stagedoor.tags.put("former", parents=["vip"])
          >>> stagedoor.tags.delete("former").deleted
          True`,
      },
    },
  },
}
