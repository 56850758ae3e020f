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

export const auditSettings = {
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
