import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { canonicalJson } from '../domain/audit/event.ts'
import { FormatError } from '../domain/audit/merkle.ts'
import { type VerifyResult, verifyLog } from '../domain/audit/verify.ts'
import { type VerifiedProof, verifyProof } from '../domain/audit/verify-proof.ts'
import { type SourceOptions, withLog } from './audit-reader.ts'
import { EXIT, type OutputOptions, print, printJson, printOne, reportError, UsageError, wholeNumber } from './output.ts'

/** Exit codes of `audit verify`. */
const VERIFY_EXIT = { proved: 0, tampered: 1, unchecked: 2 } as const

interface VerifyOptions extends SourceOptions, OutputOptions {
  checkpoint?: string[]
  key?: string[]
  witness?: string[]
  quorum?: number
  proof?: string
  event?: string
}

/** Adds `stagedoor audit verify`. */
export function addAuditVerify(audit: Command): void {
  audit
    .command('verify')
    .description('prove that the audit log was not changed, or that an event is in it')
    .option('--directory <dir>', 'an exported log; default: the running server')
    .option('--database', 'the database, with its columns and personal texts')
    .option('--checkpoint <file...>', 'checkpoints that you kept')
    .option('--key <vkey...>', 'keys of the log; default: those that the server or the database names')
    .option('--witness <vkey...>', 'keys of witnesses')
    .option('--quorum <count>', 'how many of the witnesses must have signed (all)', wholeNumber)
    .option('--proof <file>', 'check this proof offline, with --event and --key')
    .option('--event <file>', 'the text of the event that is proved')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExit codes: 0 proved, 1 tampered, 2 could not check.')
    .action(async (options: VerifyOptions) => {
      try {
        process.exitCode = await (options.proof === undefined
          ? verifyWhole(options)
          : verifyOne(options, options.proof))
      } catch (error) {
        reportError(error, options.json ?? false)
        process.exitCode = EXIT.usage
      }
    })
}

async function verifyWhole({ key, witness, quorum, json, ...options }: VerifyOptions): Promise<number> {
  if (options.event !== undefined) throw new UsageError('--event needs --proof.')
  const checkpoints = await Promise.all(
    (options.checkpoint ?? []).map(async name => ({ name, note: await readFile(name, 'utf8') })),
  )
  const result = await withLog(options, (reader, has) =>
    verifyLog(reader, {
      ...has,
      checkpoints,
      ...(key ? { keys: key } : {}),
      ...(witness ? { witnesses: witness } : {}),
      ...(quorum === undefined ? {} : { quorum }),
    }),
  )
  if (json) printJson(result)
  else printResult(result, { isKeyGiven: key !== undefined, given: checkpoints.length })
  return VERIFY_EXIT[result.result]
}

const TITLES = {
  proved: 'Proved: the log was not changed.',
  tampered: 'The log was tampered with.',
  unchecked: 'Could not check the log.',
}

function printResult(result: VerifyResult, { isKeyGiven, given }: { isKeyGiven: boolean; given: number }): void {
  print(TITLES[result.result])
  for (const { message } of result.findings) print(`  - ${message}`)
  if (result.found > result.findings.length) print(`  - and ${result.found - result.findings.length} more`)
  const { checked, erased } = result.personal
  printOne(
    {},
    {},
    {
      log: result.origin,
      entries: result.size,
      root: result.root,
      checkpoints: `${result.checkpoints} match`,
      signed: firstOf(result.signed_size),
      witnessed: result.witnessed_size === null ? '' : firstOf(result.witnessed_size),
      personal: checked + erased === 0 ? 'not read' : `${checked} match, ${erased} erased`,
      key: isKeyGiven || result.result !== 'proved' ? '' : 'named by the log itself; use --key for one that you kept',
      note:
        given > 0 || result.result !== 'proved'
          ? ''
          : 'no checkpoint of yours was compared; the owner of the key could have signed another log',
    },
  )
}

/** Says how many of the entries something covers. */
const firstOf = (size: number) => (size === 0 ? 'no entry' : `entries 0..${size - 1}`)

async function verifyOne(options: VerifyOptions, proofFile: string): Promise<number> {
  const { event: eventFile, key: keys, witness: witnesses = [], quorum = witnesses.length, json } = options
  if (eventFile === undefined || keys === undefined) throw new UsageError('--proof needs --event and --key.')
  if (options.database || options.directory !== undefined)
    throw new UsageError('--proof is checked offline, without --database and --directory.')
  const [proof, event] = await Promise.all([readFile(proofFile, 'utf8'), readFile(eventFile, 'utf8')])
  const result = verifyProof(proof, eventTexts(event), { keys, witnesses, quorum })
  if (json) printJson(result)
  else printProof(result)
  return VERIFY_EXIT[result.result]
}

function printProof({ result, message, index, checkpoint, witnesses, personal }: VerifiedProof): void {
  if (result !== 'proved') {
    print(`Not proved: ${message}.`)
    return
  }
  print('Proved: the event is in the log.')
  printOne(
    {},
    {},
    {
      log: checkpoint?.origin,
      entry: `${index} of ${checkpoint?.size}`,
      root: checkpoint?.root,
      witnesses: witnesses.join(', '),
      personal: personal === null ? '' : 'the personal text belongs to the event',
    },
  )
}

/** Returns the texts that a file may stand for: as it is, without its last line feed, and as canonical JSON. */
function eventTexts(file: string): string[] {
  const texts = [file, file.trimEnd()]
  try {
    texts.push(canonicalJson(JSON.parse(file)))
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw new FormatError(String(error))
  }
  return texts
}
