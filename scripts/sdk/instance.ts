import type { Resource } from './resource.ts'

export const instance: Resource = {
  name: 'Instance',
  file: 'instance',
  about: 'The server itself.',
  methods: {
    GetInstance: {
      name: 'get',
      does: 'Reads the version of the server, the settings that are not at their defaults, and the findings of `stagedoor doctor`. It never returns a secret.',
      examples: {
        typescript: 'const { version, settings } = await stagedoor.instance.get()',
        python: `
          >>> stagedoor.instance.get().environment
          'development'`,
      },
    },
  },
}
