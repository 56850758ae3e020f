/** What the generator needs to know about a resource of the SDKs, in addition to the contract. */

/**
 * A text of a docstring. Names are those of the API, in backquotes: `user_id`, `sessions.get_token`. The generator writes
 * them in camelCase for TypeScript, and writes null as None for Python. Give two texts where the languages differ.
 */
export type Text = string | { typescript: string; python: string }

/** A class of both SDKs. */
export interface Resource {
  /** The class: `ActorTokens`. The client has it as `actorTokens` and `actor_tokens`. */
  name: string
  /** The file in `packages/sdk/src/resources`, and with underscores in `python/src/stagedoor/resources`. */
  file: string
  /** The docstring of the class. */
  about: Text
  /** The prefix of the ids, for the docstrings: `act`. */
  id?: string
  /** The methods, by the id of their operation in the contract. The order is that of the class. */
  methods: Record<string, Method>
}

/** A method of both SDKs that sends one request. */
export interface Method {
  /** `update_metadata` */
  name: string
  /** What the method does, in the present tense. The first sentence is one line: at most 100 characters. */
  does: Text
  /** The members of the body. Default: their names and defaults in the contract. */
  request?: Text
  /** The filters of a list. Default: their names in the contract. The parameters of every list are added. */
  filters?: Text
  /** The members of a body or a query, one by one, for methods that take them as parameters. */
  members?: Record<string, Text>
  /** What the result means. Omit it if the name of the type says enough. */
  returns?: Text
  /** What error codes mean here, where their names do not say enough. The codes themselves come from the contract. */
  errors?: Record<string, string>
  /** The answer is a newly created token, which always has its ticket: the method returns `Created…`. */
  hasTicket?: true
  /** In Python the members of the body are parameters. Use it for bodies that will have few members. */
  pythonTakesMembers?: true
  /**
   * One example per language. The one in Python is a doctest, which the tests run: python/conftest.py defines its names
   * (`stagedoor`, `user`, `session`, `token`, `template`).
   */
  examples: { typescript: string; python: string }
}
