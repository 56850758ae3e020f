import { auth, forbidActing } from '../../auth.js'

// Forbidden while acting as another user.
export const DELETE = forbidActing(async () => Response.json({ deleted: (await auth()).userId }))
