'use server'
import { redirect } from 'next/navigation'
import { auth, forbidActing } from './auth.js'

// Forbidden while acting as another user. In a server action this throws; in a route handler it answers.
export const deleteAccount = forbidActing(async () => {
  const { userId } = await auth()
  redirect(`/deleted?user=${userId}`)
})
