import type { Resource } from './resource.ts'

export const actors: Resource = {
  name: 'Actors',
  file: 'actors',
  about: 'The registry of actors: the people and programs who act as users, and what policies know about them.',
  id: 'olivia@support',
  methods: {
    ListActors: {
      name: 'list',
      does: 'Lists registered actors, in the order of their `sub`.',
      examples: {
        typescript:
          "for await (const actor of stagedoor.actors.list({ kind: 'agent' })) console.log(actor.sub, actor.ownerSub)",
        python: `
          >>> registered = stagedoor.actors.put("olivia@support", kind="operator", teams=["support"])
          >>> "olivia@support" in [each.sub for each in stagedoor.actors.list()]
          True`,
      },
    },
    GetActor: {
      name: 'get',
      does: 'Reads a registered actor.',
      examples: {
        typescript: "const { teams, disabled } = await stagedoor.actors.get('olivia@support')",
        python: `
          >>> registered = stagedoor.actors.put("olivia@support", kind="operator", teams=["support"])
          >>> stagedoor.actors.get("olivia@support").teams
          ['support']`,
      },
    },
    PutActor: {
      name: 'put',
      does: 'Registers an actor, or replaces what is registered. Omitted members get their defaults.',
      request:
        '`kind`, `operator` or `agent`; `teams`, `organizations`, `level`; `user_id`, the own user of an operator; `owner_sub`, the operator who is responsible for an agent; `disabled`',
      errors: { form_param_value_invalid: 'for example a `sub` that looks like that of another actor' },
      examples: {
        typescript: "await stagedoor.actors.put('olivia@support', { kind: 'operator', teams: ['support', 'tier-2'] })",
        python: `
          >>> stagedoor.actors.put("olivia@support", kind="operator", teams=["support", "tier-2"]).level
          0`,
      },
    },
    DeleteActor: {
      name: 'delete',
      does: 'Removes an actor from the registry. To stop an actor, set `disabled` instead.',
      examples: {
        typescript: "await stagedoor.actors.delete('olivia@support')",
        python: `
          >>> registered = stagedoor.actors.put("former@support", kind="operator")
          >>> stagedoor.actors.delete("former@support").deleted
          True`,
      },
    },
  },
}
