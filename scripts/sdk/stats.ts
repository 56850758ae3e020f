import type { Resource } from './resource.ts'

export const stats: Resource = {
  name: 'Stats',
  file: 'stats',
  about: 'What happened in the last 60 minutes.',
  methods: {
    GetStats: {
      name: 'get',
      does: 'Counts per minute what was created, redeemed, refused and ended, and who acted.',
      returns: '60 minutes, oldest first; the last one is not over yet',
      examples: {
        typescript: 'const { minutes } = await stagedoor.stats.get()',
        python: `
          >>> len(stagedoor.stats.get().minutes)
          60`,
      },
    },
  },
}
