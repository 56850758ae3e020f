import type { Resource } from './resource.ts'

export const acting: Resource = {
  name: 'Acting',
  file: 'acting',
  about: 'Who is acting as a user right now.',
  methods: {
    ListActing: {
      name: 'list',
      does: 'Lists active sessions in which an actor acts as a user, the one that began last first.',
      filters: '`actor_sub`, `user_id`, `access` (`read`, `write`)',
      examples: {
        typescript: `
          for await (const { actorSub, user, reason } of stagedoor.acting.list()) {
            console.log(actorSub, 'acts as', user.name, 'because', reason)
          }`,
        python: `
          >>> [acting.actor_sub for acting in stagedoor.acting.list(user_id=user.id)]
          ['olivia@support']`,
      },
    },
  },
}
