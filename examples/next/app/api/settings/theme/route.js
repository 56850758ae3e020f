import { readOnlyWhileActing, requireUser } from '../../../auth.js'

// Support may look at everything.
export const PUT = requireUser(readOnlyWhileActing(async () => Response.json({ saved: true })))
