/** Passkeys, by the browser’s own functions. The server makes the challenge and checks the answer. */
import { ApiError, postOwn } from './api.ts'

type Purpose = 'register' | 'sign_in' | 'step_up'

/** Whether this browser and this address can use passkeys. They do not work on an IP address. */
export function hasPasskeys(): boolean {
  return typeof PublicKeyCredential === 'function' && 'parseRequestOptionsFromJSON' in PublicKeyCredential
}

/** Returns the same page on `localhost`, if this is an IP address of this machine, where passkeys cannot work. */
export function localhostLink(): string | undefined {
  if (location.hostname !== '127.0.0.1' && location.hostname !== '[::1]') return undefined
  return location.href.replace(location.hostname, 'localhost')
}

/** Signs in, steps up, or registers a passkey. @throws ApiError if the server refuses, or `passkey_cancelled` */
export async function askPasskey(purpose: Purpose): Promise<void> {
  const { options } = await postOwn<{ options: unknown }>('/passkey/options', { purpose })
  const publicKey = options as never
  try {
    const credential =
      purpose === 'register'
        ? await navigator.credentials.create({
            publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey),
          })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) })
    const response = (credential as PublicKeyCredential | null)?.toJSON()
    await postOwn('/passkey/verify', { purpose, response })
  } catch (error) {
    if (error instanceof ApiError) throw error
    const message = 'The passkey was not used. Try again, and confirm in the dialog of your browser.'
    throw new ApiError(400, { errors: [{ code: 'passkey_cancelled', message }] }, null)
  }
}
