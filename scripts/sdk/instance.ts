import type { Resource } from './resource.ts'

export const instance: Resource = {
  name: 'Instance',
  file: 'instance',
  about: 'The server itself.',
  methods: {
    GetInstance: {
      name: 'get',
      does: 'Reads the version and the settings of the server, and the findings of `stagedoor doctor`. Settings at their defaults are left out. It never returns a secret.',
      examples: {
        typescript: 'const { version, settings } = await stagedoor.instance.get()',
        python: `
          >>> stagedoor.instance.get().environment
          'development'`,
      },
    },
  },
}
