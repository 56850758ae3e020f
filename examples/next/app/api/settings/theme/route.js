import { readOnlyWhileActing } from '../../../auth.js'

// While acting, support may read but not write.
export const PUT = readOnlyWhileActing(async () => Response.json({ saved: true }))
