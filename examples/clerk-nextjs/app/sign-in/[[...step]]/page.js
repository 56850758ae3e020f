import { SignIn } from '@clerk/nextjs'

// Ticket links lead here: <SignIn/> reads `__clerk_ticket` from the address and redeems it.
export default function SignInPage() {
  return <SignIn />
}
