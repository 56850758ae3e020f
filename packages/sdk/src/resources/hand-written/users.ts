/** Methods of `Users` that send more than one request. `npm run generate` adds each exported function to the class. */
import { StagedoorError } from '../../errors.ts'
import type { Http, RequestOptions } from '../../http.ts'
import type { User } from '../../models/components.ts'
import type { CreateUserRequestBody } from '../../models/operations.ts'

/**
 * Finds the user with your own id of them. Creates the user if there is none yet.
 *
 * @param request as for {@link create}; `externalId` is required
 * @throws StagedoorError `form_identifier_exists` (for example if another user has the e-mail address)
 * @see `GET /v1/users`, `POST /v1/users`
 * @example
 * const { id } = await stagedoor.users.findOrCreate({ externalId: 'customer_7', emailAddress: ['ada@example.com'] })
 */
export async function findOrCreate(
  http: Http,
  request: CreateUserRequestBody & { externalId: string },
  options?: RequestOptions,
): Promise<User> {
  const find = async () => {
    const query = { externalId: [request.externalId] }
    const { data } = await http.list<User>('/v1/users', query, options, { count: '/v1/users/count' })
    return data.find(user => user.externalId === request.externalId) ?? data[0]
  }
  const known = await find()
  if (known) return known
  try {
    return await http.create<User>('/v1/users', request, options)
  } catch (error) {
    // Another request has created the user since.
    const other = error instanceof StagedoorError && error.code === 'form_identifier_exists' && (await find())
    if (other) return other
    throw error
  }
}
