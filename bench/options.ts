import { parseArgs } from 'node:util'

/** Options of the main benchmark. */

export const HELP = `Options of \`speed\`:

  --quick             under two minutes: SQLite, PostgreSQL, other products; short rounds, few comparisons can be decided
  --parts A,B         some of: sqlite, postgres, peers, rate (waiting times at half load), verify
  --rounds N          default 10; with --quick 3
  --seconds N         duration of one measurement; default 1, with --quick 0.35
  --connections N     default 64
  --json FILE         also writes all figures as JSON
  --profile DIR       writes V8 CPU profiles of the servers

Keycloak and Ory Hydra are measured in the same rounds if you name a running installation. Give the process ids of products on
this machine, so that CPU time can be read; several are separated by commas, and their child processes are included.

  --keycloak URL                 base URL, for example http://127.0.0.1:8080
  --keycloak-admin USER:PASSWORD an administrator of the realm master; the benchmark creates a realm and deletes it at the end
  --keycloak-pid PID             the server
  --keycloak-database-pid PID    its database
  --hydra-admin URL              admin API, for example http://127.0.0.1:4445; the benchmark creates a client and deletes it
  --hydra-public URL             public API, for example http://127.0.0.1:4444; default: the admin API's host, port 4444
  --hydra-pid PID                the server
  --hydra-database-pid PID       its database`

const PARTS = ['sqlite', 'postgres', 'peers', 'rate', 'verify']
const QUICK_PARTS = 'sqlite,postgres,peers,verify'

export interface Options {
  quick: boolean
  parts: ReadonlySet<string>
  rounds: number
  seconds: number
  connections: number
  /**
   * Before the first round each kind of request runs until V8 has compiled the whole path: this many answers, or this long
   * (s).
   */
  warmUp: { answers: number; most: number }
  json?: string | undefined
  profile?: string | undefined
  keycloak?: { url: string; admin: string; pids: number[]; databasePids: number[] } | undefined
  hydra?: { admin: string; public: string; pids: number[]; databasePids: number[] } | undefined
}

const pidsOf = (text = '') => text.split(',').filter(Boolean).map(Number)

function publicUrlOf(admin: string): string {
  const url = new URL(admin)
  url.port = '4444'
  return url.origin
}

/** @throws Error if an option is unknown or incomplete */
export function optionsOf(args: string[]): Options {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      parts: text,
      rounds: text,
      seconds: text,
      connections: { type: 'string', default: '64' },
      json: text,
      profile: text,
      keycloak: text,
      'keycloak-admin': text,
      'keycloak-pid': text,
      'keycloak-database-pid': text,
      'hydra-admin': text,
      'hydra-public': text,
      'hydra-pid': text,
      'hydra-database-pid': text,
    },
  })
  const { quick } = values
  const parts = new Set((values.parts ?? (quick ? QUICK_PARTS : PARTS.join())).split(','))
  const unknown = [...parts].find(part => !PARTS.includes(part))
  if (unknown !== undefined) throw new Error(`There is no part ${unknown}. The parts are ${PARTS.join(', ')}.`)
  const [url, admin, hydra] = [values.keycloak, values['keycloak-admin'], values['hydra-admin']]
  if ((url === undefined) !== (admin === undefined)) throw new Error('Give both --keycloak and --keycloak-admin.')
  return {
    quick,
    parts,
    rounds: Number(values.rounds ?? (quick ? 3 : 10)),
    seconds: Number(values.seconds ?? (quick ? 0.35 : 1)),
    connections: Number(values.connections),
    warmUp: quick ? { answers: 1_000, most: 2 } : { answers: 10_000, most: 15 },
    json: values.json,
    profile: values.profile,
    ...(url === undefined || admin === undefined
      ? {}
      : {
          keycloak: {
            url,
            admin,
            pids: pidsOf(values['keycloak-pid']),
            databasePids: pidsOf(values['keycloak-database-pid']),
          },
        }),
    ...(hydra === undefined
      ? {}
      : {
          hydra: {
            admin: hydra,
            public: values['hydra-public'] ?? publicUrlOf(hydra),
            pids: pidsOf(values['hydra-pid']),
            databasePids: pidsOf(values['hydra-database-pid']),
          },
        }),
  }
}
