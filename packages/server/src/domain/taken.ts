import { ApiError } from '../contract/errors.ts'
import { Taken } from './store.ts'

/** Reports a unique value that is already in use. @throws ApiError form_identifier_exists */
export async function sayTaken<T>(change: Promise<T>): Promise<T> {
  try {
    return await change
  } catch (error) {
    if (!(error instanceof Taken)) throw error
    throw new ApiError('form_identifier_exists', {
      params: { what: error.what.replaceAll('_', ' ') },
      meta: { param_name: error.what },
    })
  }
}
