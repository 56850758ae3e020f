import type { Command } from 'commander'

/**
 * Detects options that npm consumed because `--` is missing: `npm run stagedoor purge --dry-run` would delete rows. npm
 * puts these options into the environment.
 * @returns a message with the correct command, if an option was lost
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
  return `npm consumed ${lost.join(', ')}, because \`--\` is missing. Nothing was done. Run: npm run stagedoor -- ${pathOf(command)} ${lost.join(' … ')} …`
}

const isOption = (arg: string, long: string) => arg === long || arg.startsWith(`${long}=`)

/** Returns the command that the arguments name. */
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
