'use server'
import { redirect } from 'next/navigation'
import { auth, forbidActing } from './auth.js'

// What nobody may do in another's name: here it throws, in a route handler it answers.
export const deleteAccount = forbidActing(async () => {
  const { userId } = await auth()
  redirect(`/deleted?user=${userId}`)
})
