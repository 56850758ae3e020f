import { ApiError } from '../contract/errors.ts'
import { UniqueValueTaken } from './store.ts'

/** Reports a unique value that is already in use. @throws ApiError form_identifier_exists */
export async function asIdentifierExists<T>(change: Promise<T>): Promise<T> {
  try {
    return await change
  } catch (error) {
    if (!(error instanceof UniqueValueTaken)) throw error
    throw new ApiError('form_identifier_exists', {
      params: { what: error.what.replaceAll('_', ' ') },
      meta: { param_name: error.what },
    })
  }
}
