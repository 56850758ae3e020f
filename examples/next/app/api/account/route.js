import { auth, forbidActing } from '../../auth.js'

// What nobody may do in another's name.
export const DELETE = forbidActing(async () => Response.json({ deleted: (await auth()).userId }))
