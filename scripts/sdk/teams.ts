import type { Resource } from './resource.ts'

export const teams: Resource = {
  name: 'Teams',
  file: 'teams',
  about: 'Teams of actors that are part of other teams.',
  id: 'tier-2',
  methods: {
    ListTeams: {
      name: 'list',
      does: 'Lists teams that are part of other teams, by their names.',
      examples: {
        typescript: 'for await (const team of stagedoor.teams.list()) console.log(team.name, team.parents)',
        python: `
          >>> stored = stagedoor.teams.put("tier-2", parents=["support"])
          >>> "tier-2" in [each.name for each in stagedoor.teams.list()]
          True`,
      },
    },
    GetTeam: {
      name: 'get',
      does: 'Reads a team.',
      examples: {
        typescript: "const { parents } = await stagedoor.teams.get('tier-2')",
        python: `
          >>> stored = stagedoor.teams.put("tier-2", parents=["support"])
          >>> stagedoor.teams.get("tier-2").parents
          ['support']`,
      },
    },
    PutTeam: {
      name: 'put',
      does: 'Stores which teams a team is part of. An actor in the team is then in those teams too.',
      request: '`parents`, the teams that it is part of',
      errors: {
        form_param_value_invalid: 'for example a team that would be part of itself',
        policy_changed_meanwhile: 'other changes of the policy came first, several times',
      },
      examples: {
        typescript: "await stagedoor.teams.put('tier-2', { parents: ['support'] })",
        python: `
          >>> stagedoor.teams.put("tier-2", parents=["support"]).parents
          ['support']`,
      },
    },
    DeleteTeam: {
      name: 'delete',
      does: 'Removes a team, and with it which teams it is part of.',
      examples: {
        typescript: "await stagedoor.teams.delete('tier-2')",
        python: `
          >>> stored = stagedoor.teams.put("former", parents=["support"])
          >>> stagedoor.teams.delete("former").deleted
          True`,
      },
    },
  },
}
