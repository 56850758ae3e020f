import { readFileSync } from 'node:fs'
import { remoteJwks, verifySessionToken } from '@stagedoor/sdk/verify'
import type { Command } from 'commander'
import { remoteServer } from '../config.ts'
import { commandEnvironment } from './environment.ts'
import { EXIT, type OutputOptions, printJson, printMessage, printOne, time, UsageError } from './output.ts'

export function addToken(program: Command): void {
  const group = program.command('token').description('decode and verify session tokens')

  group
    .command('decode [token]')
    .description('print the contents of a token without verifying it (reads standard input if no token is given)')
    .action((given: string | undefined) => {
      const token = read(given)
      const [header, payload] = token.split('.').slice(0, 2).map(decode)
      if (!header || !payload) throw new UsageError('This is not a JWT: it needs three parts, separated by dots.')
      printJson({ header, payload })
      printMessage('Not verified: anyone could have written this token. `stagedoor token verify` verifies it.')
    })

  group
    .command('verify [token]')
    .description('verify a session token: signature, issuer, times (reads standard input if no token is given)')
    .option('--jwks <file>', 'file with the key set; default: the key set of the server')
    .option('--issuer <url>', 'expected issuer; default: the server')
    .option('--json', 'print JSON')
    .action(async (given: string | undefined, options: OutputOptions & { jwks?: string; issuer?: string }) => {
      const token = read(given)
      const env = commandEnvironment()
      const server = remoteServer(env, { keyNeeded: false }).serverURL
      try {
        const verified = await verifySessionToken(token, {
          issuer: options.issuer ?? env.STAGEDOOR_PUBLIC_URL ?? server,
          jwks: options.jwks ? JSON.parse(readFileSync(options.jwks, 'utf8')) : remoteJwks(server),
        })
        const { userId, sessionId, actor, claims } = verified
        printOne(options, verified, {
          valid: 'yes',
          user: userId,
          session: sessionId,
          actor: actor ?? '',
          expires: time(Number(claims.exp) * 1_000),
        })
      } catch (error) {
        const { reason } = error as { reason?: string }
        if (reason === undefined) throw error
        if (options.json) printJson({ valid: false, reason })
        else printMessage(`stagedoor: not valid: ${reason}. ${(error as Error).message}`)
        process.exitCode = EXIT.failed
      }
    })
}

function read(given: string | undefined): string {
  const text = (given ?? readFileSync(0, 'utf8')).trim()
  if (text === '') throw new UsageError('There is no token. Give it as an argument or on standard input.')
  return text
}

function decode(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString())
  } catch {
    return undefined
  }
}
