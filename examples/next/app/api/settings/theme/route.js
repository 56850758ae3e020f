import { readOnlyWhileActing } from '../../../auth.js'

// Support may look at everything.
export const PUT = readOnlyWhileActing(async () => Response.json({ saved: true }))
