import { findEndpoint } from '../api-client.ts'
import { type Common, print } from './jobs.ts'

/** Prints the token that the other commands call the API with. */
export async function token(options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const { token } = await findEndpoint(env, options.dir)
  print(options.json ? { token } : token)
  return 0
}
