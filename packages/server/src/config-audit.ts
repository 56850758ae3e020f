import { z } from 'zod'
import { commaList, refuse, wholeNumber } from './config-forms.ts'

/** The settings of the provable audit log. */

/** `witness:2,directory` */
const requirement = commaList.transform((entries, context) => {
  const required = { witnesses: 0, directory: false }
  for (const entry of entries) {
    const [, count] = /^witness:([1-9]\d?)$/.exec(entry) ?? []
    if (count !== undefined) required.witnesses = Number(count)
    else if (entry === 'directory') required.directory = true
    else return refuse(context, 'must be a list of `witness:NUMBER` and `directory`, like `witness:2,directory`')
  }
  return required
})

/** `<vkey>=<url>` */
const witnesses = commaList.transform((entries, context) => {
  const parsed: { vkey: string; url: string }[] = []
  for (const entry of entries) {
    const [, vkey, url] = /^([^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44})=(https?:\/\/\S+)$/.exec(entry) ?? []
    if (vkey === undefined || url === undefined || !URL.canParse(url))
      return refuse(
        context,
        'must be a list of `<vkey>=<url>`, like `witness.example.com/w1+1f2e3d4c+BA…=https://witness.example.com`',
      )
    parsed.push({ vkey, url })
  }
  return parsed
})

export const auditSettings = {
  audit_checkpoint_file: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File that keeps the newest checkpoint of the audit log. A server whose audit log does not contain it does not start, and signs no further checkpoints. `none` keeps none. Default: with the embedded database, the path of the database and `-checkpoint`.',
    ),
  audit_directory: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Directory that keeps the whole audit log as files, without personal texts (c2sp.org/tlog-tiles). Copy it to other machines, or serve it.',
    ),
  audit_witnesses: witnesses.describe(
    'Witnesses that sign the checkpoints of the audit log too, comma-separated: the verifier key of each, `=`, and its URL.',
  ),
  audit_public: z
    .enum(['on', 'off'])
    .default('off')
    .describe(
      '`on` lets anyone read the checkpoints, the tiles and the public keys of the audit log without a key. Its entries have ids only, if the `sub` of your actors is an id.',
    ),
  audit_require: requirement.describe(
    'What a checkpoint of the audit log needs besides the signature of this server: `witness:2` for the signatures of two witnesses, `directory` for a copy in STAGEDOOR_AUDIT_DIRECTORY; comma-separated. Proofs use only such checkpoints. Default: nothing.',
  ),
  audit_max_lag_seconds: wholeNumber(1, 86_400)
    .optional()
    .describe(
      'Maximum age, in seconds, of an event that no such checkpoint covers. Above it, and if the audit log was tampered with, the server creates and redeems no tickets and answers 503; revocation continues. Default: no maximum.',
    ),
}
