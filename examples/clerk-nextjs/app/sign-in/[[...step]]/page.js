import { SignIn } from '@clerk/nextjs'

// Tickets come here: <SignIn/> finds `__clerk_ticket` in the address and redeems it.
export default function SignInPage() {
  return <SignIn />
}
