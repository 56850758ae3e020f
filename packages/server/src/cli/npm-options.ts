import type { Command } from 'commander'

/**
 * Options that npm took for its own, because `--` is missing: `npm run stagedoor purge --dry-run` would delete. npm leaves
 * them in the environment.
 * @returns what to run instead, if any option was lost
 */
export function lostToNpm(
  program: Command,
  args: readonly string[],
  env: Record<string, string | undefined>,
): string | undefined {
  if (env.npm_lifecycle_event !== 'stagedoor') return undefined
  const command = commandOf(program, args)
  const lost = command.options
    .map(({ long }) => long ?? '')
    .filter(long => env[`npm_config_${long.slice(2).replaceAll('-', '_')}`] && !args.some(arg => isOption(arg, long)))
  if (lost.length === 0) return undefined
  return `npm took ${lost.join(', ')} for itself, because \`--\` is missing. Nothing was done. Run: npm run stagedoor -- ${pathOf(command)} ${lost.join(' … ')} …`
}

const isOption = (arg: string, long: string) => arg === long || arg.startsWith(`${long}=`)

/** The command that the words name. */
function commandOf(program: Command, args: readonly string[]): Command {
  let found = program
  for (const arg of args) {
    const next = found.commands.find(command => command.name() === arg)
    if (!next) break
    found = next
  }
  return found
}

function pathOf(command: Command): string {
  const { parent } = command
  return parent ? [pathOf(parent), command.name()].filter(Boolean).join(' ') : ''
}
